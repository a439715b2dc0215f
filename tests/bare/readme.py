"""The commands that the README tells a newcomer to type."""

from __future__ import annotations

import re
from dataclasses import dataclass

TYPED = ("Install", "Try it, test it")
"""The headings of the blocks that a newcomer can type in a clone, with nothing else."""
OTHERS = ("dag", "Build on this machine", "Build on a cluster")
"""The headings of the blocks that need a distribution or a cluster of the reader's own."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """The commands of the code blocks below one heading."""

    heading: str
    commands: tuple[str, ...]


def blocks(readme: str) -> list[Block]:
    """Return the commands that the README tells a newcomer to type, in their order.

    Raises ValueError if there is a block below a heading that is not listed here.
    """
    found = []
    for section in re.split(r"^#+ ", readme, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        commands = _commands(text)
        if commands and heading not in (*TYPED, *OTHERS):
            raise ValueError(f"README.md has commands below {heading!r}: say in readme.py for whom")
        if heading in TYPED:
            found.append(Block(heading=heading, commands=commands))
    if [block.heading for block in found if block.commands] != list(TYPED):
        raise ValueError(f"README.md does not have commands below each of {', '.join(TYPED)}")
    return found


def _commands(text: str) -> tuple[str, ...]:
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line) for block in fenced for line in block.splitlines()]
    return tuple(line for line in lines if line.strip())
