"""Every command that the documents show is one that exists, with flags that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from dag.cli.main import main
from dag.cli.options import Command
from dag.core.flags import flags_of
from dag.core.package.makefile import built_in_text
from publish.declared import context_of

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def commands(document: Path) -> list[str]:
    """Return the lines of code blocks that begin with `dag`, without what is beside or behind them."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    typed = [line.removeprefix("$ ") for line in lines]
    return [re.split(r"\s{3,}|\s\|\s", line)[0] for line in typed if line.startswith("dag ")]


def refusal(words: list[str]) -> str | None:
    """Return what is wrong with the flags of a command, or None."""
    command: click.Command = main
    context = context_of(main, "dag")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return f"there is no command {words[0]}"
        command, words = found, words[1:]
    context = context_of(command, str(command.name))
    if isinstance(command, Command):
        words = command.rewrite_booleans(context, words)
    try:
        typed, _, _ = command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return error.format_message()
    return next(_useless(command, typed), None) if isinstance(command, Command) else None


def _useless(command: Command, typed: Mapping[str, object]) -> Iterator[str]:
    """Yield which of the flags that are typed is of no use without which other."""
    nothing = dict.fromkeys(one.field for one in flags_of(command.options) if one.flag.required)
    values = {one.name: typed[one.name] for one in command.flags if one.name in typed}
    for one, needed in command.options(**{**nothing, **values}).useless_flags():
        if one.field in values:
            yield f"--{one.flag.name} is of no use without {needed}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    wrong = {line: refusal(shlex.split(line)[1:]) for line in commands(document)}
    assert {line: why for line, why in wrong.items() if why} == {}


def test_the_documents_are_read() -> None:
    assert sum(len(commands(document)) for document in DOCUMENTS) > 15
    assert "No such option" in str(refusal(["pod", "--no-such-flag"]))
    assert refusal(["pod", "--csi-driver=x"]) == "--csi-driver is of no use without --secret-key"
    assert refusal(["pood"]) == "there is no command pood"


@pytest.mark.parametrize(
    ("document", "path", "fewest"),
    [("ARCHITECTURE.md", r"[\w.*-]+/[\w./*-]+", 40), ("docs/security.md", r"tests/[\w./-]+", 5)],
)
def test_every_path_of_a_document_exists(document: str, path: str, fewest: int) -> None:
    paths = re.findall(f"`({path})`", (CHECKOUT / document).read_text())
    places = (CHECKOUT, CHECKOUT / "src" / "dag")
    missing = [path for path in paths if not any(any(place.glob(path)) for place in places)]
    assert len(paths) > fewest
    assert missing == []


def test_the_built_in_makefile_is_shown() -> None:
    text = (CHECKOUT / "docs" / "makefiles.md").read_text()
    assert f"```make\n{built_in_text()}```\n" in text
