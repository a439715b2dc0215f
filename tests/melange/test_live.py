"""Definitions that use every part of melange's language, compared with what melange answers live."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.package.melangeflags import Resolution
from dag.core.package.model import Package
from dag.core.package.pipelines import Table
from dag.io.package.ways import Ways
from tests.support.definitions import compiled
from tests.support.distributions import as_melange_says, in_order
from tests.support.melange import answer

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


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("definitions")
    for name, text in PIPELINES.items():
        (root / "pipelines" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "pipelines" / name).write_text(_dedented(text))
    (root / "pipelines" / "linked").symlink_to("../shared")
    (root / "shared" / "loop").mkdir()
    (root / "shared" / "loop" / "again").symlink_to("../../pipelines/local")
    (root / "pipelines" / "local" / "round").symlink_to("..")
    for name, text in DEFINITIONS.items():
        (root / f"{name}.yaml").write_text(_dedented(text))
    return root


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix(" " * 8) for line in text.splitlines()) + "\n"


def ours_of(path: Path, arch: str = "x86_64", options: tuple[str, ...] = ()) -> Package:
    """Return what a definition is here, with the pipelines beside it."""
    package, problems = compiled(
        path.read_bytes(),
        path.name,
        arch=arch,
        table=Table(Ways(path.parent, Arch.parse(arch)).find(Resolution()).texts),
        options=options,
    )
    assert not problems
    assert package is not None
    return package


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_each_word_of_the_language_means_what_it_means_to_melange(
    directory: Path, name: str, arch: str
) -> None:
    path = directory / f"{name}.yaml"
    theirs = answer(path, arch=arch)
    assert isinstance(theirs, dict), theirs
    assert as_melange_says(ours_of(path, arch)) == in_order(theirs)


def test_a_build_option_changes_what_it_changes_for_melange(directory: Path) -> None:
    path = directory / "optional.yaml"
    theirs = answer(path, options=["extra"])
    assert isinstance(theirs, dict), theirs
    assert as_melange_says(ours_of(path, options=("extra",))) == in_order(theirs)
    assert as_melange_says(ours_of(path)) != in_order(theirs)


def test_what_an_if_leaves_out(directory: Path) -> None:
    ours = ours_of(directory / "ranges.yaml")
    assert [one.name for one in ours.subpackages] == ["ranges-a", "ranges-c-3"]
    assert [one.name for one in ours.left_out] == ["ranges-b", "arch-only"]
