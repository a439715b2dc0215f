"""What melange says of a definition that it cannot compile."""

from __future__ import annotations

import re

from dag.core.package.problems import FileProblem

_MESSAGE = re.compile(r"^(?:\S+ \S+ )?ERRO (?P<text>.*)", re.DOTALL | re.MULTILINE)
_SAID = re.compile(r"failed to (?:compile \S+|load configuration): ")
_LINE = re.compile(r"line (?P<line>\d+): (?P<what>.+)")
_FIX = "correct it, or use the melange that it was written for"
_MOST = 20
"""How many of its lines are told of one definition."""
_LONGEST = 500


def read_refusal(file: str, line: int, stderr: str) -> tuple[FileProblem, ...]:
    """Return what melange finds wrong with a definition, from what it wrote on stderr.

    `line` is that of the definition's name, for what has no line of its own.
    """
    found = _MESSAGE.search(stderr)
    text = found["text"] if found else stderr.strip().partition("\n")[0]  # a panic, for example
    text = _SAID.sub("", text, count=1)
    problems = [
        FileProblem(file, int(one["line"]), _words(one["what"]), _FIX)
        for one in _LINE.finditer(text)
        if len(one["line"]) < 9
    ]
    if not problems:
        problems.append(FileProblem(file, line, _words(" ".join(text.split())), _FIX))
    return tuple(problems[:_MOST])


def _words(text: str) -> str:
    return f"the melange of this machine cannot compile the definition: {text[:_LONGEST]}"
