"""The command `make bare` types everything that the README says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bare.__main__ import START
from tests.bare.readme import OTHERS, TYPED, Block, blocks

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def test_commands_of_the_readme_are_typed() -> None:
    typed = [command for block in blocks(README) for command in block.commands]
    assert {"pip install .", "dag --help", "make demo", "make demo-kubernetes"} <= set(typed)
    assert START.keys() <= set(typed), "what is shortened is in the README"


def test_blocks_are_read_without_their_comments() -> None:
    text = "# dag\n```\ndag\n```\n## Install\nSo:\n\n```\na b   # why\n\nc#d\n```\n"
    text += "## Try it, test it\n```sh\ne\n```\nor\n```\nf\n```\n"
    assert blocks(text) == [
        Block(heading="Install", commands=("a b", "c#d")),
        Block(heading="Try it, test it", commands=("e", "f")),
    ]


@pytest.mark.parametrize("heading", [*TYPED, *OTHERS])
def test_renamed_heading_is_noticed(heading: str) -> None:
    with pytest.raises(ValueError, match=r"README\.md"):
        blocks(README.replace(f"# {heading}\n", "# Another\n"))
