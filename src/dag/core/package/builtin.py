"""The built-in pipelines of melange v0.56.0: their inputs with defaults, needs, nested steps.

scripts/builtin-pipelines writes this file; do not edit it.
"""

from __future__ import annotations

from dag.core.package.step import PipelineStep

MELANGE = "v0.56.0"

# fmt: off
PIPELINES: dict[str, PipelineStep] = {
    "R/build": PipelineStep(1, needs=("R", "R-dev", "R-doc", "busybox"), inputs={"package": "", "path": ".", "version": ""}),
    "autoconf/configure": PipelineStep(1, needs=("autoconf", "automake", "libtool"), inputs={"dir": ".", "host": "${{host.triplet.gnu}}", "build": "${{host.triplet.gnu}}", "opts": ""}),
    "autoconf/make-install": PipelineStep(1, needs=("make",), inputs={"dir": ".", "opts": "", "targets": "install"}),
    "autoconf/make": PipelineStep(1, needs=("make",), inputs={"dir": ".", "opts": "", "targets": ""}),
    "cargo/build": PipelineStep(1, needs=("build-base", "busybox", "cargo-auditable", "rust"), inputs={"output": "", "opts": "--release", "modroot": ".", "rustflags": "", "prefix": "usr", "install-dir": "bin", "output-dir": "target/release", "jobs": ""}),
    "cmake/build": PipelineStep(1, needs=("cmake", "ninja"), inputs={"output-dir": "output", "opts": ""}),
    "cmake/configure": PipelineStep(1, needs=("cmake", "ninja"), inputs={"output-dir": "output", "opts": ""}),
    "cmake/install": PipelineStep(1, needs=("cmake", "ninja"), inputs={"output-dir": "output"}),
    "fetch": PipelineStep(1, needs=("wget",), inputs={"strip-components": "1", "directory": ".", "extract": "true", "expected-sha256": "", "expected-sha512": "", "expected-none": "", "purl-name": "${{package.name}}", "purl-version": "${{package.version}}", "uri": "", "timeout": "5", "dns-timeout": "20", "retry-limit": "5", "delete": "false", "reason": ""}),
    "git-am": PipelineStep(1, needs=("git",), inputs={"patches": ""}),
    "git-checkout": PipelineStep(1, needs=("git",), inputs={"repository": "", "destination": ".", "depth": "unset", "branch": "", "tag": "", "expected-commit": "", "expected-commit-is-branch-tip": "false", "recurse-submodules": "false", "shallow-submodules": "false", "submodule-jobs": "1", "cherry-picks": "", "type-hint": "", "sparse-paths": "", "max-retries": "3", "initial-backoff": "2", "max-backoff": "60", "reason": ""}),
    "go/build/v2": PipelineStep(1, needs=("busybox", "ca-certificates-bundle"), inputs={"packages": ".", "tags": "", "toolchaintags": "netgo,osusergo", "output": "", "vendor": "false", "modroot": ".", "prefix": "usr", "ldflags": "", "strip": "-w", "install-dir": "bin", "experiments": "", "extra-args": "", "amd64": "v2", "arm64": "v8.0", "buildmode": "default", "ignore-untracked-files": "true"}, steps=(PipelineStep(129, uses="strip"),)),
    "go/build": PipelineStep(1, needs=("${{inputs.go-package}}", "build-base", "busybox", "ca-certificates-bundle"), inputs={"go-package": "go", "packages": "", "tags": "", "toolchaintags": "netgo,osusergo", "output": "", "vendor": "false", "modroot": ".", "prefix": "usr", "ldflags": "", "strip": "-w", "install-dir": "bin", "deps": "", "experiments": "", "extra-args": "", "amd64": "v2", "arm64": "v8.0", "buildmode": "default", "tidy": "false", "ignore-untracked-files": "true"}),
    "go/bump": PipelineStep(1, needs=("git", "gobump"), inputs={"deps": "", "modroot": ".", "go-version": "", "replaces": "", "tidy": "true", "show-diff": "false", "tidy-compat": "", "work": "false"}),
    "go/covdata": PipelineStep(1, needs=("${{inputs.package}}", "busybox", "jq"), inputs={"package": "go", "cover-dir": "/home/build"}),
    "go/install": PipelineStep(1, needs=("${{inputs.go-package}}", "busybox", "build-base", "ca-certificates-bundle", "git"), inputs={"go-package": "go", "package": "", "version": "", "prefix": "usr", "install-dir": "bin", "ldflags": "", "strip": "-w", "tags": "", "toolchaintags": "netgo,osusergo", "experiments": "", "amd64": "v2", "arm64": "v8.0"}),
    "llvm/covreport": PipelineStep(1, needs=("${{inputs.package}}",), inputs={"package": "llvm-19", "object": "", "ignore-filename-regex": ""}),
    "maven/configure-mirror": PipelineStep(1, needs=("busybox",)),
    "maven/pombump": PipelineStep(1, needs=("busybox", "pombump"), inputs={"patch-file": "./pombump-deps.yaml", "properties-file": "./pombump-properties.yaml", "dependencies": "", "properties": "", "pom": "pom.xml", "debug": "false", "show-dependency-tree": "false"}),
    "meson/compile": PipelineStep(1, needs=("meson",), inputs={"output-dir": "output"}),
    "meson/configure": PipelineStep(1, needs=("meson",), inputs={"output-dir": "output", "opts": ""}),
    "meson/install": PipelineStep(1, needs=("meson",), inputs={"output-dir": "output"}),
    "npm/install": PipelineStep(1, needs=("busybox", "nodejs", "${{inputs.npm-package}}", "npm"), inputs={"package": "", "version": "", "prefix": "${{targets.contextdir}}/usr/", "overrides": "", "npm-package": "npm"}),
    "patch": PipelineStep(1, needs=("patch",), inputs={"strip-components": "1", "fuzz": "2", "patches": "", "series": ""}),
    "pecl/install": PipelineStep(1, needs=("automake", "busybox"), inputs={"extension": ""}),
    "pecl/phpize": PipelineStep(1, needs=("autoconf", "busybox"), inputs={"php-config": "php-config", "prefix": "/usr"}),
    "perl/cleanup": PipelineStep(1, needs=("busybox",)),
    "perl/make": PipelineStep(1, needs=("busybox", "perl")),
    "python/build-wheel": PipelineStep(1, needs=("busybox", "py3-build", "py3-installer", "python3")),
    "python/build": PipelineStep(1, needs=("busybox", "python3")),
    "python/import": PipelineStep(1, needs=("wolfi-base",), inputs={"python": "DEFAULT", "import": "", "from": "", "imports": "", "venv": ""}),
    "python/install": PipelineStep(1, needs=("busybox", "python3")),
    "python/test": PipelineStep(1, needs=("wolfi-base",), inputs={"command": ""}),
    "ruby/build": PipelineStep(1, needs=("busybox", "ca-certificates-bundle"), inputs={"dir": ".", "gem": "", "output": "", "opts": ""}),
    "ruby/clean": PipelineStep(1, needs=("busybox", "ca-certificates-bundle")),
    "ruby/install": PipelineStep(1, needs=("busybox", "ca-certificates-bundle"), inputs={"dir": ".", "gem": "", "gem-file": "", "version": "", "opts": ""}),
    "split/alldocs": PipelineStep(1, needs=("busybox",), inputs={"package": ""}),
    "split/bin": PipelineStep(1, needs=("busybox",), inputs={"package": ""}),
    "split/debug": PipelineStep(1, needs=("binutils", "busybox", "scanelf"), inputs={"package": ""}),
    "split/dev": PipelineStep(1, needs=("busybox",), inputs={"package": "", "prefix": "/usr"}),
    "split/infodir": PipelineStep(1, needs=("busybox",), inputs={"package": ""}),
    "split/lib": PipelineStep(1, needs=("busybox",), inputs={"package": "", "patterns": "", "paths": ""}),
    "split/locales": PipelineStep(1, needs=("busybox",), inputs={"package": ""}),
    "split/manpages": PipelineStep(1, needs=("busybox",), inputs={"package": ""}),
    "split/static": PipelineStep(1, needs=("busybox",), inputs={"package": ""}),
    "strip": PipelineStep(1, needs=("binutils", "scanelf"), inputs={"opts": "-g"}),
    "xcover/ensure": PipelineStep(1, needs=("busybox", "jq", "${{inputs.package}}"), inputs={"package": "xcover", "min-coverage": ""}),
    "xcover/profile": PipelineStep(1, needs=("busybox", "${{inputs.package}}"), inputs={"package": "xcover", "executable-path": "", "exclude-functions": "", "include-functions": "", "scope": "project", "log-level": "info", "verbose": "false", "wait-timeout": "60"}),
    "xcover/status": PipelineStep(1, needs=("busybox", "${{inputs.package}}"), inputs={"package": "xcover"}),
    "xcover/stop": PipelineStep(1, needs=("busybox",), inputs={"package": "xcover"}),
    "xcover/wait": PipelineStep(1, needs=("busybox", "${{inputs.package}}"), inputs={"package": "xcover", "wait-timeout": "60"}),
}
