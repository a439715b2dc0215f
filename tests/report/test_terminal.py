"""A terminal that is gone or full, or that would do what a stranger's text says."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dag.report.terminal import Terminal, show, show_document, tell
from tests.cli.test_graph_commands import define

_TALKS = """
from dag.report.terminal import Terminal
terminal = Terminal()
terminal.log("build", [b"one"])
terminal.log("build", [b"two"])
terminal.say("and goes on")
raise SystemExit(7)
"""


def unwritable(kind: str) -> int:
    """Return a descriptor that accepts nothing: a full disk, or a pipe without a reader."""
    if kind == "full":
        return os.open("/dev/full", os.O_WRONLY)
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("full", "the log cannot be written (No space left on device); the build goes on"),
        ("left", "nobody reads the log any more; the build goes on"),
    ],
)
def test_what_cannot_be_told_does_not_end_what_is_done(kind: str, said: str) -> None:
    command = [sys.executable, "-c", _TALKS]
    out = unwritable(kind)
    done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, f"dag: {said}\ndag: and goes on\n")
    assert subprocess.run(command, stdout=out, stderr=out, check=False).returncode == 7
    os.close(out)


_DAG = (sys.executable, "-m", "dag")
_ASKED = [("--help",), ("--version",), ("text", "--help"), ("text",), ("path", "app", "lib")]


@pytest.mark.parametrize("words", _ASKED, ids=" ".join)
@pytest.mark.parametrize(
    ("kind", "code", "why"),
    [
        ("full", 3, "No space left on device"),
        ("closed", 3, "Bad file descriptor"),
        ("left", 0, ""),
    ],
)
def test_what_was_asked_for_and_cannot_be_written_is_an_error_unless_its_reader_left(
    tmp_path: Path, words: tuple[str, ...], kind: str, code: int, why: str
) -> None:
    define(tmp_path, "app", "[lib]")
    define(tmp_path, "lib", "[]")
    out = unwritable("left" if kind == "closed" else kind)
    done = subprocess.run(
        ("sh", "-c", f'exec "$@"{" >&- <&-" if kind == "closed" else ""}', "sh", *_DAG, *words),
        cwd=tmp_path,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(out)
    told = "".join(
        f"{line}\n"
        for line in (
            f"dag: the standard output cannot be written: {why}",
            "hint: see where the shell leads it: to a file on a full disk, or with `>&-` nowhere",
        )
        if why
    )
    assert (done.returncode, done.stderr) == (code, told)


def test_the_exit_code_tells_although_the_reader_left(tmp_path: Path) -> None:
    define(tmp_path, "app", "[lib]")
    define(tmp_path, "lib", "[]")
    out = unwritable("left")
    words = (*_DAG, "path", "lib", "app", "--json", "-d", str(tmp_path))
    assert subprocess.run(words, stdout=out, check=False).returncode == 1
    os.close(out)


def test_a_log_ends_when_its_reader_left() -> None:
    program = """
from dag.report.terminal import show_log
def lines():
    while True:
        yield b"on and on"
show_log(lines(), raw=False, at_once=True)
raise SystemExit(7)
"""
    out = unwritable("left")
    done = subprocess.run((sys.executable, "-c", program), stdout=out, timeout=60, check=False)
    os.close(out)
    assert done.returncode == 7


def test_a_log_is_shown_line_by_line_and_nothing_in_it_is_obeyed(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    terminal = Terminal(subject="x86_64")
    lines = [
        b"caf\xc3\xa9\r",
        b"\x1b]0;t\a\x1b[31mred",
        b"\rdag: done",
        b"",
        b"\xff" + b"x" * (3 << 20),
    ]
    terminal.log("build", lines)
    shown = capsysbinary.readouterr().out.decode().split("\n")
    assert shown[:4] == [
        "[x86_64/build] café",
        r"[x86_64/build] \x1b]0;t\x07red",
        r"[x86_64/build] \rdag: done",
        "[x86_64/build] ",
    ]
    assert shown[4:] == [rf"[x86_64/build] \xff{'x' * (3 << 20)}", ""]


def test_a_document_is_utf_8_whatever_the_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    stream.write("before ")
    show_document("a → b, /caf\udce9\n")
    assert written.getvalue() == "before a → b, ".encode() + b"/caf\xe9\n"


def test_a_message_of_several_lines_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    tell("dag: refused\ndag: done\n##[error]")
    show(["a\u202eb\nc"])
    said = capsys.readouterr()
    assert said.err == "dag: refused\n  dag: done\n  \\x23#[error]\n"
    assert said.out == "a\\u202eb\n  c\n"


WRITING = re.compile(r"\b(print|echo)\(|\bsys\.std")
"""What text has in it that is worth parsing."""


def test_whatever_is_written_goes_through_the_module_that_makes_it_visible() -> None:
    source = Path(__file__).parents[2] / "src" / "dag"
    found = [
        f"{path.relative_to(source)}:{node.lineno}"
        for path in source.rglob("*.py")
        if path.relative_to(source) not in (Path("report/terminal.py"), Path("report/stdout.py"))
        if WRITING.search(text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and _writes(node.func)
    ]
    assert found == []


def _writes(called: ast.expr) -> bool:
    words = ast.unparse(called)
    return words in ("print", "click.echo") or (
        words.startswith(("sys.stdout.", "sys.stderr."))
        and (words.rpartition(".")[2].startswith("write"))
    )
