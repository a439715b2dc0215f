"""Definitions and pipelines that have each word of the language, compared with what melange makes of them."""

from __future__ import annotations

PIPELINES = {
    "local/deep.yaml": """\
        name: three levels
        needs: {packages: [deep-a, '${{inputs.tool}}']}
        inputs:
          tool: {default: default-tool}
          level: {default: one}
        pipeline:
          - uses: local/middle
            with: {tool: '${{inputs.tool}}-x', level: "${{inputs.level}}"}
          - runs: echo ${{inputs.level}}
            needs: {packages: ['inline-${{inputs.level}}']}
          - if: ${{inputs.level}} == 'two'
            uses: cmake/build
        """,
    "local/middle.yaml": """\
        needs: {packages: ['middle-${{inputs.tool}}']}
        inputs:
          tool: {required: true}
          level: {default: zero}
          unset: {default: ''}
        pipeline:
          - uses: go/build
            if: ${{inputs.level}} != "one"
            with: {go-package: 'go-${{inputs.level}}', packages: ., output: x}
          - pipeline:
              - needs: {packages: ['nested-${{context.name}}']}
                runs: 'true'
          - uses: fetch
            with:
              uri: https://example.invalid/${{inputs.level}}/${{package.version}}.tar.gz
              expected-none: 'true'
        """,
    "local/empty-needs.yaml": """\
        needs: {}
        pipeline: [{runs: 'true'}]
        """,
    "local/takes-needs.yaml": """\
        needs:
        pipeline: [{runs: 'true'}]
        """,
    "local/takes-packages.yaml": """\
        needs: {packages: ~}
        """,
    "local/itself.yaml": """\
        needs: {packages: ['itself-${{inputs.own}}']}
        inputs: {own: {default: '${{inputs.own}}'}}
        """,
    "local/always.yaml": """\
        if: ''
        needs: {packages: [always]}
        """,
    "local/as-asked.yaml": """\
        if: ~
        needs: {packages: ['as-asked-${{inputs.kind}}']}
        inputs: {kind: {default: plain}, own: {required: yes, default: x}}
        """,
    "local/says-nothing.yaml": """\
        inputs: {kind: ~, other: {default: ~}}
        needs: {packages: ['said-${{inputs.kind}}-${{inputs.other}}']}
        """,
    "local/merges-nothing.yaml": """\
        inputs: {<<: {kind: {default: merged}}, kind: ~}
        needs: {packages: ['merged-${{inputs.kind}}']}
        """,
    "../shared/here.yaml": """\
        needs: {packages: [through-a-link]}
        """,
    "go/bump.yaml": """\
        needs: {packages: [shadowed-bump]}
        inputs:
          deps: {default: ''}
        """,
}

DEFINITIONS = {
    "versions": """\
        package: {name: versions, version: 1.10, epoch: 3}
        """,
    "text-versions": """\
        package:
          name: text-versions
          version: 00303
        """,
    "date": """\
        package: {name: date, version: 2023-01-25, epoch: 0}
        environment: {contents: {packages: [on, yes, 1.0, 'null', ~, 0x10, !!str null, "x"]}}
        """,
    "vars": """\
        package:
          name: vars
          version: 1.2.3_rc4
          epoch: 7
          dependencies:
            runtime: ['${{package.name}}-base=${{package.full-version}}', 'v${{vars.short}}']
            provides:
              - 'so:${{vars.mangled}}'
              - "cmd:${{ vars.name }}=${{package.epoch}}"
        vars: {name: plain, short: overwritten, "with-dash_and.dot": '9'}
        var-transforms:
          - {from: '${{package.version}}', match: '^(\\d+)\\.(\\d+).*$', replace: '${1}-$2', to: short}
          - {from: '${{vars.short}}', match: '-', replace: '$$', to: mangled}
          - {from: '${{package.version}}', match: '_(?P<kind>[a-z]+)', replace: '.$kind.', to: kind}
          - {from: aXbX, match: 'X*', replace: '-', to: stars}
          - {from: 'a.b', match: '[[:alpha:]]', replace: '<$0>', to: posix}
        environment:
          contents:
            packages:
              - 'a-${{vars.short}}'
              - 'b${{vars.kind}}'
              - 'c${{vars.stars}}'
              - 'd-${{vars.with-dash_and.dot}}'
              - e>1.0
              - '!f'
              - 'g${{vars.posix}}'
        """,
    "ranges": """\
        package: {name: ranges, version: '1', epoch: 0}
        data:
          - name: tools
            items: {b: second, a: first, "c-3": 'x=${{package.version}}'}
          - {name: empty, items: {}}
        subpackages:
          - range: tools
            name: ${{package.name}}-${{range.key}}
            if: "'${{range.value}}' != 'second'"
            dependencies:
              runtime: ['${{range.value}}']
              provides: ['${{range.key}}=${{package.full-version}}']
            pipeline:
              - uses: split/dev
              - needs: {packages: ['for-${{range.key}}']}
                runs: echo ${{subpkg.name}}
              - if: "'${{range.key}}' == 'a'"
                uses: local/deep
                with: {level: two}
          - range: empty
            name: never-${{range.key}}
          - name: arch-only
            if: ${{build.arch}} == 'aarch64'
            pipeline: [{uses: split/locales}]
        """,
    "deep": """\
        package: {name: deep, version: '2', epoch: 0}
        pipeline:
          - uses: local/deep
          - uses: local/deep
            with: {tool: other, level: two}
          - if: ${{build.arch}} == "x86_64" && ('${{package.name}}' != 'x' || 'a' == 'b')
            uses: local/middle
            with: {tool: conditional}
          - if: ${{build.arch}} == 'riscv64'
            uses: maven/pombump
          - uses: go/bump
            with: {deps: x}
          - pipeline:
              - uses: meson/configure
              - pipeline: [{uses: patch, with: {patches: a.patch}}]
        """,
    "optional": """\
        package: {name: optional, version: '2', epoch: 0}
        options:
          extra:
            vars: {flavour: extra}
            environment: {contents: {packages: {add: [added], remove: [removed]}}}
        vars: {flavour: normal}
        environment: {contents: {packages: [kept, removed, 'tool-${{vars.flavour}}']}}
        pipeline:
          - if: ${{options.extra.enabled}} == 'true'
            uses: cargo/build
            with: {output: x}
          - needs: {packages: ['need-${{vars.flavour}}']}
            runs: 'true'
        """,
    "merged": """\
        package: &package
          name: merged
          version: '1'
          epoch: 0
          dependencies: &dependencies {runtime: [one]}
        subpackages:
          - name: merged-a
            dependencies: {<<: *dependencies, provides: [p]}
          - name: merged-b
            dependencies: *dependencies
        """,
    "arch-names": """\
        package:
          name: arch-names
          version: '1'
          epoch: 0
          target-architecture:
            - x86_64
            - aarch64
            - !riscv64
        pipeline:
          - needs: {packages: ['t-${{host.triplet.gnu}}', 'r-${{host.triplet.rust}}']}
            runs: 'true'
          - needs: {packages: ['g-${{build.goarch}}', 'c-${{cross.triplet.gnu.musl}}']}
            runs: 'true'
          - needs: {packages: ['d${{targets.destdir}}', 'x${{targets.package.arch-names}}']}
            runs: 'true'
        """,
    "empty-entries": """\
        package:
          name: empty-entries
          version: '1'
          epoch: 18446744073709551615
          target-architecture:
            -
          dependencies:
            provider-priority: 10000000000
            runtime:
              -
              - one
            provides: [~, p]
        environment:
          contents:
            packages:
              - a
              -
              - b
        subpackages:
          -
          - name: empty-entries-sub
            pipeline:
              -
              - uses: local/empty-needs
                needs: {packages: [kept, ~]}
        """,
    "anchors": """\
        package: {name: anchors, version: '1', epoch: 0}
        subpackages:
          - name: anchors-a
            pipeline: &again
              - uses: strip
          - name: anchors-b
            pipeline: &again
              - uses: split/dev
                with: &with {package: "x"}
          - name: anchors-c
            pipeline: *again
          - name: anchors-d
            dependencies: &again {runtime: [r]}
          - name: anchors-e
            dependencies: {<<: *again}
            pipeline: [{uses: split/manpages, with: *with}]
        """,
    "templates": """\
        package: {name: templates, version: 1.2, epoch: 0}
        var-transforms:
          - {from: '1', match: '(1)', replace: 'a${²}b', to: a}
          - {from: '1', match: '(1)', replace: 'a${01}b$00', to: b}
          - {from: '1', match: '(1)', replace: 'a${١}b', to: c}
          - {from: '1', match: '(1)', replace: 'a$²b$½$1', to: d}
          - {from: '1', match: '(?P<k>1)', replace: '${k}$k.$kb$kä', to: e}
          - {from: '1', match: '(1)', replace: '${1$$1$-${}${99999999999999999999}', to: f}
          - {from: aé, match: '[\\pL\\pN\\pS]{900}|é', replace: x, to: g}
          - {from: 'aéßb', match: '\\B', replace: '-', to: h}
          - {from: 'aéb', match: '(?P<all>é*)', replace: '$all-', to: i}
        environment:
          contents:
            packages:
              - 'a-${{vars.a}}'
              - 'b-${{vars.b}}'
              - 'c-${{vars.c}}'
              - 'd-${{vars.d}}'
              - 'e-${{vars.e}}'
              - 'f-${{vars.f}}'
              - 'g-${{vars.g}}'
              - 'h-${{vars.h}}'
              - 'i-${{vars.i}}'
        """,
    "quoted": """\
        package: {name: quoted, version: '1', epoch: 0}
        vars: {u: "é\\u200b", tab: "a\\tb", bell: "\\a", nbsp: "\\u00a0", plain: "é ü"}
        pipeline:
          - {if: "${{ vars.u }} == 'é\\u200b'", runs: 'x', needs: {packages: [u]}}
          - {if: "${{ vars.tab }} == 'a\\tb'", runs: 'x', needs: {packages: [tab]}}
          - {if: "${{ vars.bell }} == '\\a'", runs: 'x', needs: {packages: [bell]}}
          - {if: "${{ vars.bell }} == '\\\\a'", runs: 'x', needs: {packages: [escaped-bell]}}
          - {if: "${{ vars.nbsp }} == '\\u00a0'", runs: 'x', needs: {packages: [nbsp]}}
          - {if: "${{ vars.plain }} == 'é ü'", runs: 'x', needs: {packages: [plain]}}
        """,
    "paths": """\
        package: {name: paths, version: '1', epoch: 0}
        pipeline:
          - uses: ./local/empty-needs
            needs: {packages: [dotted]}
          - uses: local//empty-needs
            needs: {packages: [doubled]}
          - uses: linked/here
          - uses: linked/loop/again/empty-needs
        """,
    "taken-over": """\
        package: {name: taken-over, version: '1', epoch: 0}
        pipeline:
          - {uses: local/takes-needs, needs: {packages: [taken-1]}}
          - {uses: local/takes-packages, needs: {packages: [taken-2]}}
          - {uses: local/empty-needs, needs: {packages: [left]}}
          - {uses: local/always, if: "'a' == 'b'"}
          - {uses: local/as-asked, if: "'a' == 'b'", with: {kind: never}}
          - {uses: local/as-asked, if: "'a' == 'a'", with: {kind: '', own: y}}
          - uses: local/itself
          - {uses: local/itself, if: "${{inputs.own}} != 'x'", with: {own: given}}
          - uses: local/as-asked
            inputs: {more: {default: from-step}, kind: {default: lost}}
            with: {kind: '${{inputs.more}}'}
          - uses: local/says-nothing
          - {uses: local/says-nothing, with: {kind: ~, other: given}}
          - {uses: local/says-nothing, inputs: {kind: {default: kept}, other: {default: lost}}}
          - {uses: local/says-nothing, inputs: {kind: {default: kept}}, with: {kind: ~, other: '1'}}
          - {uses: local/says-nothing, inputs: {kind: ~}, with: {kind: given, other: ~}}
          - {uses: local/merges-nothing, inputs: {kind: {default: kept}}}
          - inputs: {kind: ~}
            needs: {packages: ['inline-${{inputs.kind}}']}
            pipeline:
              - {uses: local/says-nothing, with: {other: '${{inputs.kind}}2'}}
              - {needs: {packages: ['inner-${{inputs.kind}}']}, inputs: {kind: ~}}
        """,
    "priorities": """\
        package:
          name: priorities
          version: '1'
          epoch: 3
          dependencies: {provider-priority: 9223372036854775807}
        subpackages:
          - {name: padded, dependencies: {provider-priority: '000000000000000000000000000005'}}
          - {name: negative, dependencies: {provider-priority: -9223372036854775808}}
          - {name: written, dependencies: {provider-priority: '${{package.epoch}}'}}
        """,
    "later-documents": """\
        package: {name: later-documents, version: '1', epoch: 0}
        ---
        package: {name: ignored, version: '1', epoch: 0}
        """,
}
