"""Ctrl-C at moments at which Python itself would show a traceback, or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_IMPORTS = """
import _signal as signal, sys
for name in ("signal", "enum"):
    sys.modules.pop(name, None)  # as in a Python that has nothing else to start
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            {swallowing}
sys.meta_path.insert(0, Finder())
from dag.cli.start import run
sys.argv = ["dag", "text"]
run()
"""
_RAISES = f"signal.raise_signal({signal.SIGINT:d})"
_WRAPPED = """
class Wraps:
    def __set_name__(self, owner, name):
        import signal
        signal.raise_signal(signal.SIGINT)
class Class:
    field = Wraps()
"""


def run_python(program: str, cwd: Path) -> tuple[int, str]:
    done = subprocess.run(
        (sys.executable, "-c", program),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["enum", "click", "dag.cli.text", "dag.core.package.compile"])
def test_while_modules_are_read_it_ends_with_130_and_a_word(tmp_path: Path, module: str) -> None:
    (tmp_path / "a.yaml").write_text("package: {name: a, version: 1}\n")
    code, said = run_python(_IMPORTS.format(module=module, swallowing=_RAISES), tmp_path)
    assert (code, said.strip()) == (130, "dag: interrupted")


def test_what_python_wraps_is_no_bug_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("package: {name: a, version: 1}\n")
    program = _IMPORTS.format(
        module="dag.run.graph.reading", swallowing=f"exec({_WRAPPED!r}, {{}})"
    )
    code, said = run_python(program, tmp_path)
    assert (code, said.strip()) == (130, "dag: interrupted")


def test_what_python_swallows_comes_again(tmp_path: Path) -> None:
    program = """
import signal, time, weakref
from dag.cli.interrupts import clean_up_when_told
clean_up_when_told()
class Thing: pass
thing = Thing()
watched = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
try:
    del thing
    time.sleep(50)
except KeyboardInterrupt:
    print("heard")
"""
    assert run_python(program, tmp_path) == (0, "heard\n")


def test_what_the_shell_has_ignore_ctrl_c_ignores_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("package: {name: a, version: 1}\n")
    program = _IMPORTS.format(module="dag.cli.text", swallowing=_RAISES)
    ignored = f"import signal\nsignal.signal({signal.SIGINT:d}, signal.SIG_IGN)\n{program}"
    assert run_python(ignored, tmp_path) == (0, f"packages/x86_64/a-1-r0.apk{os.linesep}")
