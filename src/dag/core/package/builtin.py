"""What the built-in pipelines of melange v0.56.0 need: inputs with defaults, needs, nested steps.

Written by scripts/builtin-pipelines; don't edit.
"""

from __future__ import annotations

from dag.core.package.pipelines import Step

MELANGE = "v0.56.0"

# fmt: off
PIPELINES: dict[str, Step] = {
    "R/build": Step(1, needs=("R", "R-dev", "R-doc", "busybox"), inputs={"package": "", "path": ".", "version": ""}),
    "autoconf/configure": Step(1, needs=("autoconf", "automake", "libtool"), inputs={"dir": ".", "host": "${{host.triplet.gnu}}", "build": "${{host.triplet.gnu}}", "opts": ""}),
    "autoconf/make-install": Step(1, needs=("make",), inputs={"dir": ".", "opts": "", "targets": "install"}),
    "autoconf/make": Step(1, needs=("make",), inputs={"dir": ".", "opts": "", "targets": ""}),
    "cargo/build": Step(1, needs=("build-base", "busybox", "cargo-auditable", "rust"), inputs={"output": "", "opts": "--release", "modroot": ".", "rustflags": "", "prefix": "usr", "install-dir": "bin", "output-dir": "target/release", "jobs": ""}),
    "cmake/build": Step(1, needs=("cmake", "ninja"), inputs={"output-dir": "output", "opts": ""}),
    "cmake/configure": Step(1, needs=("cmake", "ninja"), inputs={"output-dir": "output", "opts": ""}),
    "cmake/install": Step(1, needs=("cmake", "ninja"), inputs={"output-dir": "output"}),
    "fetch": Step(1, needs=("wget",), inputs={"strip-components": "1", "directory": ".", "extract": "true", "expected-sha256": "", "expected-sha512": "", "expected-none": "", "purl-name": "${{package.name}}", "purl-version": "${{package.version}}", "uri": "", "timeout": "5", "dns-timeout": "20", "retry-limit": "5", "delete": "false", "reason": ""}),
    "git-am": Step(1, needs=("git",), inputs={"patches": ""}),
    "git-checkout": Step(1, needs=("git",), inputs={"repository": "", "destination": ".", "depth": "unset", "branch": "", "tag": "", "expected-commit": "", "expected-commit-is-branch-tip": "false", "recurse-submodules": "false", "shallow-submodules": "false", "submodule-jobs": "1", "cherry-picks": "", "type-hint": "", "sparse-paths": "", "max-retries": "3", "initial-backoff": "2", "max-backoff": "60", "reason": ""}),
    "go/build/v2": Step(1, needs=("busybox", "ca-certificates-bundle"), inputs={"packages": ".", "tags": "", "toolchaintags": "netgo,osusergo", "output": "", "vendor": "false", "modroot": ".", "prefix": "usr", "ldflags": "", "strip": "-w", "install-dir": "bin", "experiments": "", "extra-args": "", "amd64": "v2", "arm64": "v8.0", "buildmode": "default", "ignore-untracked-files": "true"}, steps=(Step(129, uses="strip"),)),
    "go/build": Step(1, needs=("${{inputs.go-package}}", "build-base", "busybox", "ca-certificates-bundle"), inputs={"go-package": "go", "packages": "", "tags": "", "toolchaintags": "netgo,osusergo", "output": "", "vendor": "false", "modroot": ".", "prefix": "usr", "ldflags": "", "strip": "-w", "install-dir": "bin", "deps": "", "experiments": "", "extra-args": "", "amd64": "v2", "arm64": "v8.0", "buildmode": "default", "tidy": "false", "ignore-untracked-files": "true"}),
    "go/bump": Step(1, needs=("git", "gobump"), inputs={"deps": "", "modroot": ".", "go-version": "", "replaces": "", "tidy": "true", "show-diff": "false", "tidy-compat": "", "work": "false"}),
    "go/covdata": Step(1, needs=("${{inputs.package}}", "busybox", "jq"), inputs={"package": "go", "cover-dir": "/home/build"}),
    "go/install": Step(1, needs=("${{inputs.go-package}}", "busybox", "build-base", "ca-certificates-bundle", "git"), inputs={"go-package": "go", "package": "", "version": "", "prefix": "usr", "install-dir": "bin", "ldflags": "", "strip": "-w", "tags": "", "toolchaintags": "netgo,osusergo", "experiments": "", "amd64": "v2", "arm64": "v8.0"}),
    "llvm/covreport": Step(1, needs=("${{inputs.package}}",), inputs={"package": "llvm-19", "object": "", "ignore-filename-regex": ""}),
    "maven/configure-mirror": Step(1, needs=("busybox",)),
    "maven/pombump": Step(1, needs=("busybox", "pombump"), inputs={"patch-file": "./pombump-deps.yaml", "properties-file": "./pombump-properties.yaml", "dependencies": "", "properties": "", "pom": "pom.xml", "debug": "false", "show-dependency-tree": "false"}),
    "meson/compile": Step(1, needs=("meson",), inputs={"output-dir": "output"}),
    "meson/configure": Step(1, needs=("meson",), inputs={"output-dir": "output", "opts": ""}),
    "meson/install": Step(1, needs=("meson",), inputs={"output-dir": "output"}),
    "npm/install": Step(1, needs=("busybox", "nodejs", "${{inputs.npm-package}}", "npm"), inputs={"package": "", "version": "", "prefix": "${{targets.contextdir}}/usr/", "overrides": "", "npm-package": "npm"}),
    "patch": Step(1, needs=("patch",), inputs={"strip-components": "1", "fuzz": "2", "patches": "", "series": ""}),
    "pecl/install": Step(1, needs=("automake", "busybox"), inputs={"extension": ""}),
    "pecl/phpize": Step(1, needs=("autoconf", "busybox"), inputs={"php-config": "php-config", "prefix": "/usr"}),
    "perl/cleanup": Step(1, needs=("busybox",)),
    "perl/make": Step(1, needs=("busybox", "perl")),
    "python/build-wheel": Step(1, needs=("busybox", "py3-build", "py3-installer", "python3")),
    "python/build": Step(1, needs=("busybox", "python3")),
    "python/import": Step(1, needs=("wolfi-base",), inputs={"python": "DEFAULT", "import": "", "from": "", "imports": "", "venv": ""}),
    "python/install": Step(1, needs=("busybox", "python3")),
    "python/test": Step(1, needs=("wolfi-base",), inputs={"command": ""}),
    "ruby/build": Step(1, needs=("busybox", "ca-certificates-bundle"), inputs={"dir": ".", "gem": "", "output": "", "opts": ""}),
    "ruby/clean": Step(1, needs=("busybox", "ca-certificates-bundle")),
    "ruby/install": Step(1, needs=("busybox", "ca-certificates-bundle"), inputs={"dir": ".", "gem": "", "gem-file": "", "version": "", "opts": ""}),
    "split/alldocs": Step(1, needs=("busybox",), inputs={"package": ""}),
    "split/bin": Step(1, needs=("busybox",), inputs={"package": ""}),
    "split/debug": Step(1, needs=("binutils", "busybox", "scanelf"), inputs={"package": ""}),
    "split/dev": Step(1, needs=("busybox",), inputs={"package": "", "prefix": "/usr"}),
    "split/infodir": Step(1, needs=("busybox",), inputs={"package": ""}),
    "split/lib": Step(1, needs=("busybox",), inputs={"package": "", "patterns": "", "paths": ""}),
    "split/locales": Step(1, needs=("busybox",), inputs={"package": ""}),
    "split/manpages": Step(1, needs=("busybox",), inputs={"package": ""}),
    "split/static": Step(1, needs=("busybox",), inputs={"package": ""}),
    "strip": Step(1, needs=("binutils", "scanelf"), inputs={"opts": "-g"}),
    "xcover/ensure": Step(1, needs=("busybox", "jq", "${{inputs.package}}"), inputs={"package": "xcover", "min-coverage": ""}),
    "xcover/profile": Step(1, needs=("busybox", "${{inputs.package}}"), inputs={"package": "xcover", "executable-path": "", "exclude-functions": "", "include-functions": "", "scope": "project", "log-level": "info", "verbose": "false", "wait-timeout": "60"}),
    "xcover/status": Step(1, needs=("busybox", "${{inputs.package}}"), inputs={"package": "xcover"}),
    "xcover/stop": Step(1, needs=("busybox",), inputs={"package": "xcover"}),
    "xcover/wait": Step(1, needs=("busybox", "${{inputs.package}}"), inputs={"package": "xcover", "wait-timeout": "60"}),
}
