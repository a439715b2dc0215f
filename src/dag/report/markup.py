"""Words and lists in Markdown, and suites of JUnit, for all reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree as ET

from dag.core.visible import visible, visible_line

_MARKUP = re.compile(r"[\\`*_\[\]|~]")
"""What Markdown may take for markup within a line, beside HTML.
https://spec.commonmark.org/0.31.2/#backslash-escapes"""
_MOST = 60_000
"""Characters of a page of Markdown. It is the text of a comment, too, of which GitHub takes 65,536."""
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def plain(text: str) -> str:
    """Return a text as words of a line of Markdown, in which nothing is markup."""
    return _MARKUP.sub(r"\\\g<0>", visible_line(text)).translate(_HTML)


def pages(parts: Sequence[Sequence[str]]) -> str:
    """Return parts below each other as one page, each with a share of its size.

    A part is blocks, which are not cut: what has no room is left out at the end, and that is said.
    """
    return "\n".join(block for blocks in parts for block in _cut(blocks, _MOST // len(parts)))


def _cut(blocks: Sequence[str], most: int) -> Iterator[str]:
    room = most
    for number, block in enumerate(blocks):
        room -= len(block) + 1
        if room < 0:
            left = sum(map(_lines, blocks[number:]))
            yield ""
            yield (
                f"{left:,} more lines would make this page longer than services take:"
                " `dag status --json` and `dag report` have everything."
            )
            break
        yield block
    yield ""


def _lines(block: str) -> int:
    return 1 + block.count("\n")


def row(*cells: str) -> str:
    """Return a row of a table of Markdown."""
    return f"| {' | '.join(map(plain, cells))} |"


def fenced(texts: Sequence[str]) -> Iterator[str]:
    """Yield lines as a block of code of Markdown, which they cannot end."""
    lines = [visible_line(text) for text in texts]
    fence = "`" * max(3, 1 + max(map(_backticks, lines), default=0))
    yield fence
    yield from lines
    yield fence


def _backticks(line: str) -> int:
    return max((len(run) for run in line.split() if set(run) == {"`"}), default=0)


class Suite:
    """A test suite of JUnit; each case failed, was skipped, or went well.

    The format is the one that most readers agree on: https://github.com/testmoapp/junitxml
    """

    def __init__(self, name: str, arch: str, seconds: float) -> None:
        """Begin a suite, which took so many seconds."""
        self._suite = ET.Element("testsuite", name=f"{name} {arch}".rstrip())
        self._seconds = seconds
        self._arch = arch

    def case(
        self, name: str, *, seconds: float | None = None, file: str = "", log: str = ""
    ) -> Case:
        """Add a case; `file` is the definition, `log` what it wrote."""
        case = ET.SubElement(self._suite, "testcase", classname=self._arch, name=visible(name))
        if file:
            case.set("file", visible(file))
        case.set("time", f"{seconds or 0:.3f}")
        if log:
            properties = ET.SubElement(case, "properties")
            ET.SubElement(properties, "property", name="attachment", value=visible(log))
        return Case(case)

    def element(self) -> ET.Element:
        """Return the suite with its numbers."""
        suite = self._suite
        suite.set("tests", str(len(suite.findall("testcase"))))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
        suite.set("errors", "0")
        suite.set("time", f"{self._seconds:.3f}")
        return suite


def suites_to_xml(suites: Iterable[Suite]) -> str:
    """Return suites as a file."""
    root = ET.Element("testsuites")
    root.extend(one.element() for one in suites)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


class Case:
    """A case of a suite."""

    def __init__(self, element: ET.Element) -> None:
        self._element = element

    def fail(self, message: str, lines: Sequence[str] = ()) -> None:
        """Say why it failed, and the last lines of what it wrote."""
        failure = ET.SubElement(self._element, "failure", message=visible(message))
        failure.text = "\n".join(map(visible, lines)) or None

    def skip(self, message: str) -> None:
        """Say why it was skipped."""
        ET.SubElement(self._element, "skipped", message=visible(message))
