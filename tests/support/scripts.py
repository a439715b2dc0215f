"""A workspace in which the build script runs, under every sh that an image may have."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dag.core.arch import Arch
from dag.core.build.scripts import MakeVariables, build_script
from dag.core.package.makefile import KeyMaker

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}
MAKEFILE = """\
melange.rsa: ; @echo secret >$@
packages/%.apk: ; @echo making $* for $(ARCH) with $(KEY); mkdir -p $(@D); echo $* >$@
bad: ; @echo no >&2; exit 7
ugly: bad
named/%: ; $(info $@)
unfinished: ; @printf 'first\\nlast'
networks: ; @bwrap --dev-bind / / --proc /proc cat /proc/net/dev
shows: ; @bwrap --dev-bind / / --clearenv --setenv mine 'a b' /bin/sh -c "$$STEP"
CACHE = .
fetches: ; @bwrap --dev-bind / / --tmpfs /var/cache --bind "$(CACHE)" /var/cache/melange sh -c "$$STEP"
clones: ; @bwrap --dev-bind / / --tmpfs /var/cache --bind "$(CACHE)" /var/cache/melange --clearenv sh -c "$$STEP"
slow: ; @sleep 60 & trap 'echo stopping; kill $$!; exit 9' TERM; echo started; wait
# What is left behind holds the pipe, and would for ever.
daemon: ; @echo served; sleep 60 & echo $$! >daemon
busy: ; @i=0; while [ $$i -lt 200000 ]; do i=$$((i+1)); done
"""
VARIABLES = MakeVariables(arch=Arch.parse("x86_64"), source_date_epoch=1, cache_dir="/c")


class Workspace:
    """A directory with a Makefile, in which the script runs as it does in a pod."""

    def __init__(self, shell: Sequence[str], directory: Path) -> None:
        self.directory = directory
        self._shell = shell
        directory.mkdir()
        (directory / "Makefile").write_text(MAKEFILE)
        self.key = directory / "melange.rsa"
        self.key.touch()

    def start(
        self,
        *targets: str,
        variables: MakeVariables = VARIABLES,
        before: str = "",
        **options: Any,
    ) -> subprocess.Popen[str]:
        options = {"key_maker": KeyMaker.NOBODY, **options}
        script = build_script(variables, state="../state", **options)
        return subprocess.Popen(
            [*self._shell, *replace(script, text=before + script.text).command(*targets)[1:]],
            cwd=self.directory,
            env={**os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *targets: str, **options: Any) -> tuple[int, list[str]]:
        process = self.start(*targets, **options)
        out, _ = process.communicate(timeout=60)
        return process.returncode, out.splitlines()
