"""`--help` and the reference say the same, and help is there at once."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

from dag.cli.examples import ExampleGroup
from dag.cli.main import SUMMARIES, main
from dag.cli.options import Command
from dag.cli.parameters import Argument, Option
from dag.core.flags import Options
from dag.errors import UsageError
from publish.declared import context_of, every_command
from publish.flags import reference
from tests.cli.test_docs import refusal
from tests.support import commands
from tests.support.golden import Golden

ROOT = Path(__file__).parents[2]
WIDTH = 80
COMMANDS = dict(every_command())
DECLARED = {typed: one for typed, one in COMMANDS.items() if isinstance(one, Command)}
SENTENCES = re.compile(r"[A-Z`].*[.]", re.DOTALL)


def _subclasses(options: type[Options]) -> set[type[Options]]:
    own = set(options.__subclasses__())
    return own.union(*map(_subclasses, own))


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def help_of(typed: str) -> str:
    command: click.Command = main if typed == "dag" else COMMANDS[typed]
    return f"{command.get_help(context_of(command, typed))}\n"


@pytest.mark.parametrize("typed", ["dag", *COMMANDS])
def test_help_is_the_one_that_was_read(typed: str, golden: Golden) -> None:
    text = help_of(typed)
    golden(f"help-{typed.replace(' ', '-')}.txt", text)
    too_long = [line for line in text.splitlines() if len(line) > WIDTH and "dag " not in line]
    assert too_long == []
    assert "..." not in text.replace("[PKG]...", "").replace("[ARGS]...", "")


def test_the_reference_is_made_from_the_declarations(golden: Golden) -> None:
    golden(ROOT / "docs/flags.md", reference())


def test_what_is_typed_prints_the_same() -> None:
    done = commands.dag("setup", "kind", "-h", environment=os.environ | {"COLUMNS": str(WIDTH)})
    golden = ROOT / "tests/cli/golden/help-dag-setup-kind.txt"
    assert (done.returncode, done.stdout, done.stderr) == (0, golden.read_text(), "")


def test_summaries_are_the_first_sentences_of_each_help_and_fit() -> None:
    for name, summary in SUMMARIES.items():
        assert (COMMANDS[f"dag {name}"].help or "").partition("\n")[0] == summary
        assert len(summary) <= WIDTH - 2 - max(map(len, SUMMARIES)) - 2


@pytest.mark.parametrize("typed", sorted(set(DECLARED) - {"dag build", "dag pod", "dag doctor"}))
def test_what_builds_nothing_says_of_no_flag_that_it_builds(typed: str) -> None:
    said = re.sub(r"\s+", " ", help_of(typed))
    for words in ("Keep finished packages", "Push the directory as", "Do not build", "Run builds"):
        assert words not in said


@pytest.mark.parametrize("options", sorted(_subclasses(Options), key=str))
def test_what_a_command_says_of_a_flag_is_of_one_that_it_has(options: type[Options]) -> None:
    declared = {one.name: one.metadata["dag.flag"].text for one in fields(options)}
    for name, text in vars(options).get("texts", {}).items():
        assert text != declared[name]


@pytest.mark.parametrize("typed", DECLARED)
def test_every_flag_has_sentences_and_a_group(typed: str) -> None:
    for one in DECLARED[typed].params:
        assert isinstance(one, Option | Argument)
        assert SENTENCES.fullmatch(one.flag.text), one.flag
        if isinstance(one, Option):
            assert one.heading, one.flag
            assert one.flag.variables or one.flag.typed_only
    names = [one.name for one in DECLARED[typed].params]
    assert sorted(set(names)) == sorted(names), "a field of one group hides that of another"


@pytest.mark.parametrize("typed", DECLARED)
def test_a_flag_that_is_of_no_use_without_another_names_one_that_is_there(typed: str) -> None:
    known = {name: one for one in DECLARED[typed].flags for name in one.opts}
    for one in DECLARED[typed].flags:
        needed = one.flag.needs.partition(": ")[0]
        for words in filter(None, re.split(" and | or ", needed)):
            name, _, value = words.partition(" ")
            choices = getattr(known[name].type, "choices", None) or (value,)
            assert value in choices if value else known[name] is not one
        if needed.startswith("--on"):  # there is a value for which it is there
            assert typed == "dag doctor" or "local" not in needed


@pytest.mark.parametrize("typed", ["dag build", "dag logs", "dag status"])
def test_flags_that_count_only_in_a_cluster_are_below_a_heading_that_says_so(typed: str) -> None:
    headings = {one.name: one.heading for one in DECLARED[typed].flags}
    for name in ("bundle_repo", "context", "isolation", "tolerations", "queue", "bucket_secret"):
        assert headings[name].endswith(", with --on kubernetes"), name
    for name in ("directory", "arch", "store", "on", "verbose"):
        assert "kubernetes" not in headings[name]


@pytest.mark.parametrize("typed", ["dag", *COMMANDS])
def test_examples_are_sentences_and_commands_that_exist(typed: str) -> None:
    command = main if typed == "dag" else COMMANDS[typed]
    assert isinstance(command, Command | ExampleGroup)
    assert 1 < len(command.examples) < 5
    for text, line in command.examples:
        assert SENTENCES.fullmatch(text)
        assert len(text) < WIDTH - 4
        assert line.startswith(f"{typed} ") or line == typed
        assert refusal(shlex.split(line)[1:]) is None


REQUIRING = [typed for typed, one in DECLARED.items() if any(each.required for each in one.params)]


@pytest.mark.parametrize("typed", REQUIRING)
def test_what_must_be_given_and_is_not_is_refused_with_an_example(typed: str) -> None:
    example = DECLARED[typed].examples[0][1]
    with pytest.raises(click.UsageError) as refused:
        main.main(typed.split()[1:], standalone_mode=False)
    message = refused.value.format_message()
    assert message.endswith(f". Write it like `{example}`.")
    assert "\n" not in message


def test_a_word_too_many_is_refused_with_an_example() -> None:
    with pytest.raises(click.UsageError) as refused:
        main.main(["cycles", "brotli"], standalone_mode=False)
    said = "Got unexpected extra argument (brotli). Write it like `dag cycles`."
    assert refused.value.format_message() == said


def test_a_place_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(click.UsageError) as refused:
        main.main(["build", "--on", "mars"], standalone_mode=False)
    assert "there are `local` and `kubernetes`" in refused.value.format_message()


def test_a_build_on_kubernetes_needs_a_store_that_nodes_reach() -> None:
    with pytest.raises(UsageError, match="needs a store that all nodes reach"):
        main.main(["build", "--on", "kubernetes"], standalone_mode=False)


def test_a_build_on_this_machine_is_not_cancelled_from_elsewhere() -> None:
    with pytest.raises(UsageError, match="ends builds on Kubernetes"):
        main.main(["cancel", "--store", "built"], standalone_mode=False)


def test_what_no_node_would_have_is_refused_before_a_cluster_is_asked(tmp_path: Path) -> None:
    (tmp_path / "definitions").mkdir()
    (tmp_path / "elsewhere").mkdir()
    words = ["--dir", str(tmp_path / "definitions"), "-r", str(tmp_path / "elsewhere")]
    with pytest.raises(UsageError, match="is not inside"):
        main.main(["build", "--on=kubernetes", "--store=pvc://a", *words], standalone_mode=False)
    (tmp_path / "definitions/packages").mkdir()
    words = ["--dir", str(tmp_path / "definitions"), "-r", str(tmp_path / "definitions/packages")]
    with pytest.raises(UsageError, match="is where a build puts its own packages"):
        main.main(["build", "--on=kubernetes", "--store=pvc://a", *words], standalone_mode=False)
    with pytest.raises(UsageError, match="--from is for builds on this machine"):
        main.main(
            ["build", "--on=kubernetes", "--store=pvc://a", "--from=b"], standalone_mode=False
        )
    with pytest.raises(UsageError, match="--twice is for builds on this machine"):
        main.main(["build", "--on=kubernetes", "--store=pvc://a", "--twice"], standalone_mode=False)


OURS = {"dag", "dag.cli", "dag.cli.main", "dag.cli.examples", "dag.cli.interrupts", "dag.errors"}
PRINTS = {"dag.report", "dag.report.stdout"}


# What click itself imports for help and completion is not our choice.
IMPORTS = """
import sys, click, click._textwrap, click.shell_completion, locale, shlex, shutil, signal
before = set(sys.modules)
from dag.cli.main import main
{run}
print("imported:", *sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(
    ("run", "imported"),
    [
        ("main.main(['--help'], prog_name='dag', standalone_mode=False)", OURS | PRINTS),
        (
            """
bash = click.shell_completion.BashComplete(main, {}, "dag", "_DAG_COMPLETE")
assert bash.complete() == "plain,pod"
""",
            OURS,
        ),
    ],
    ids=["help", "completion"],
)
def test_help_and_completion_import_click_and_little_else(run: str, imported: set[str]) -> None:
    """Imports are what takes time; `bench/start.py` measures the seconds."""
    done = python(IMPORTS.replace("{run}", run), COMP_WORDS="dag po", COMP_CWORD="1")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()[-1].split()[1:]) == imported
