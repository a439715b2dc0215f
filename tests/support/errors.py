"""The errors that tests of commands see; with `--errors`, pytest adds them to docs/errors.md."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
_PLACE = "DAG_SEEN_ERRORS"
"""The variable that names the directory into which the processes of a test run write what they see."""
_CODES = {
    1: "the build failed",
    2: "the request was wrong",
    3: "the environment failed",
    130: "somebody interrupted the command",
}
_INTRODUCTION = """\
# Errors

What `dag` says when it ends with an error, in the words that tests of the command line and of builds have seen.
`make errors` writes this page. A line that begins with `hint:` says what to do. Paths, addresses and hashes are those
of a test. What a build says of packages that failed is not here, because that is in the words of their steps.
"""
_MASKS = (
    (re.compile(r"(?:/[\w.-]+)*/pytest-of-[^/]+/pytest-\d+(?:/popen-gw\d+)?/[\w-]+"), "/home/you"),
    (re.compile(r"(?:/[\w.-]+)*/test_\w*\d(?![\w.-])"), "/home/you"),  # with --basetemp
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:5000"),
    (
        re.compile(r"process \d+ on \S+ since [\d-]+ [\d:]+ \([^)]*\)"),
        "process 4242 on builder since 2026-08-29 14:12:05 (dag build)",
    ),
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b"), "20260829-141205-3f2a9c"),
    (re.compile(re.escape(str(PAGE.parents[1]))), "/home/you/dag"),
    (re.compile(r"\b[0-9a-f]{40,}\b"), "0123abcd…"),
    (re.compile(r"\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?s\b"), "5s"),
)
"""What differs from one run of the tests to the next, and what the page has in its place."""
_VALUES = tuple(
    map(
        re.compile,
        (
            r"'[^'\n]*'",
            r'"[^"\n]*"',
            r"--[a-z][a-z-]*",
            r"\d+",
            r"(?:/[\w.@+-]+)+",
            r"did you mean .*",
        ),
    )
)
"""What may differ within a family of errors, of which the page has one."""
_RESULT = re.compile(
    r"dag: (?:nothing to build|[\d,]+ (?:built|unchanged|there already|not for|left out|failed|blocked"
    r"|in cycles|not built|not finished|package))"
)
"""How the last line about a build begins that has ended."""
_SECTION = re.compile(r"^## (\d+): [^\n]*\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDING = re.compile(
    r"(?:^|\n)(?P<text>(?:dag: |Error: )[^\n]*(?:\n    [^\n]*)*(?:\nhint: [^\n]*(?:\n    [^\n]*)*)?)\n*\Z"
)


class SeenError(NamedTuple):
    """An error as it was printed."""

    code: int
    text: str
    """The message, and the hint in a line of its own."""

    @property
    def family(self) -> tuple[int, str]:
        """What errors have in common that differ in values only."""
        text = self.text
        for pattern in _VALUES:
            text = pattern.sub("…", text)
        return self.code, text


def see(code: int, stderr: str, *, compared: bool = True) -> None:
    """Write down what a command said that ended with this exit code, or compare it with the page.

    Raises AssertionError if the page has no such error.
    """
    found = read_error(code, stderr) if code else None
    if found is None:
        return
    if place := os.environ.get(_PLACE):
        (Path(place) / secrets.token_hex(8)).write_bytes(msgspec.json.encode(found))
    elif compared:
        assert found.family in _families_of_page(), (
            f"{PAGE} does not have this error; pytest --errors with this test adds it, and"
            f" `make errors` writes the page anew:\n{found.text}"
        )


def read_error(code: int, stderr: str) -> SeenError | None:
    """Return the error that the output of a command ends with; None if it ends with something else."""
    match = _ENDING.search(stderr)
    if match is None or _RESULT.match(match["text"]):
        return None
    text = match["text"]
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return SeenError(code, text)


@cache
def _families_of_page() -> frozenset[tuple[int, str]]:
    return frozenset(one.family for one in read_page())


def read_page() -> Iterator[SeenError]:
    """Yield the errors that the page lists."""
    if PAGE.exists():
        for code, block in _SECTION.findall(PAGE.read_text()):
            yield from (SeenError(int(code), text.strip("\n")) for text in block.split("\n\n"))


def page(seen: Iterable[SeenError]) -> str:
    """Return the page that lists these errors, of each family the first one by name."""
    chosen = {one.family: one for one in sorted(seen, reverse=True)}
    return "\n".join(_lines(sorted(chosen.values())))


def _lines(errors: list[SeenError]) -> Iterator[str]:
    yield _INTRODUCTION
    for code, meaning in _CODES.items():
        if texts := [one.text for one in errors if one.code == code]:
            yield f"## {code}: {meaning}\n"
            yield "```text"
            yield "\n\n".join(texts)
            yield "```\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag."""
    parser.addoption("--errors", action="store_true", help="add what tests see to docs/errors.md")
    parser.addoption(
        "--errors-anew", action="store_true", help="let docs/errors.md be what they see"
    )


def _writes_page(config: pytest.Config) -> bool:
    """Return whether this process writes the page, when the tests have ended."""
    asked = config.getoption("--errors") or config.getoption("--errors-anew")
    return bool(asked) and not hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Make the directory for all processes of this run."""
    if _writes_page(config):
        os.environ[_PLACE] = tempfile.mkdtemp(prefix="dag-errors-")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, when the processes of this run have ended, unless a test failed."""
    if not _writes_page(session.config):
        return
    place = Path(os.environ.pop(_PLACE))
    seen = [msgspec.json.decode(one.read_bytes(), type=SeenError) for one in place.iterdir()]
    shutil.rmtree(place)
    if exitstatus == 0:
        before = () if session.config.getoption("--errors-anew") else read_page()
        PAGE.write_text(page([*before, *seen]))
