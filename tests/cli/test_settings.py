"""`dag.toml`: the tables that a command reads, and the directory that its paths are relative to."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest

from dag.cli import build, cache, doctor, pod, publish, svg
from dag.cli import text as text_command
from dag.cli.main import main
from dag.cli.options import Command
from dag.cli.settings import read_settings
from dag.errors import UsageError
from tests.cli.test_graph_commands import dag, define, index
from tests.support import commands


def examined(directory: Path, *, on: str) -> dict[str, object]:
    """Return what `dag.toml` says for `dag doctor --on`."""
    command = doctor.command
    return read_settings(str(directory), command, command.section, click.Context(command), on=on)


def test_doctor_goes_by_what_pod_is_told_and_by_its_own_table_first(tmp_path: Path) -> None:
    text = 'cpu = "1"\nram = "1Gi"\n[pod]\ncpu = "2"\ndisk = "3Gi"\n[doctor]\ndisk = "4Gi"\n'
    (tmp_path / "dag.toml").write_text(text)
    of_pod = {"cpu": "2", "ram": "1Gi", "disk": "3Gi"}
    assert (
        read_settings(str(tmp_path), pod.command, pod.command.section, click.Context(pod.command))
        == of_pod
    )
    assert examined(tmp_path, on="pod") == {**of_pod, "disk": "4Gi"}


def test_doctor_goes_by_what_a_build_on_kubernetes_is_told_if_it_examines_that(
    tmp_path: Path,
) -> None:
    text = '[pod]\ncpu = "2"\n[build]\nstore = "pvc://a"\ncpu = "3"\nretries = 1\n'
    (tmp_path / "dag.toml").write_text(text)
    assert examined(tmp_path, on="kubernetes") == {"cpu": "3", "store": "pvc://a"}
    assert examined(tmp_path, on="pod") == {"cpu": "2"}


def test_a_key_that_pod_does_not_have_is_refused_in_its_table_by_both(tmp_path: Path) -> None:
    (tmp_path / "dag.toml").write_text('[pod]\nrum = "1Gi"\n')
    for command in (pod.command, doctor.command):
        with pytest.raises(UsageError, match=r"dag.toml:2: no flag is called 'rum'"):
            read_settings(str(tmp_path), command, command.section, click.Context(command), on="pod")


def test_a_mark_of_byte_order_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "dag.toml").write_bytes(b'\xef\xbb\xbftype = "name"\r\n')
    define(tmp_path, "app", "[]")
    assert dag("text", cwd=tmp_path)[0] == "app\n"


def test_what_says_where_it_is_cannot_be_in_it(tmp_path: Path) -> None:
    (tmp_path / "dag.toml").write_text('arch = "aarch64"\ndir = "elsewhere"\n')
    define(tmp_path, "app", "[]")
    _, err = dag("text", cwd=tmp_path, code=2)
    assert "dag.toml:2: --dir says where this file is, so that cannot set it\n" in err


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dag.toml")
    with pytest.raises(UsageError, match=r"dag\.toml: it is a named pipe"):
        read_settings(str(tmp_path), pod.command, pod.command.section, click.Context(pod.command))


BOOTSTRAP = "P:elsewhere\nV:1-r0\n\nP:tool\nV:1.10-r2\n\nP:lib\nV:1.9-r0\n\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with definitions in `distribution`, and with what its dag.toml names."""
    root = tmp_path / "distribution"
    (root / "own" / "pipelines" / "my").mkdir(parents=True)
    (root / "own/pipelines/my/step.yaml").write_text("needs: {packages: [elsewhere]}\n")
    (root / "bootstrap" / "x86_64").mkdir(parents=True)
    (root / "bootstrap/x86_64/APKINDEX.tar.gz").write_bytes(index(BOOTSTRAP))
    (root / "bootstrap/key.pub").write_text("key")
    (root / "dag.toml").write_text(
        'repository = ["bootstrap"]\npipeline-dir = "own/pipelines"\n'
        'keyring = ["bootstrap/key.pub"]\nbundle-repo = "localhost:1/x"\n'
        '[svg]\nout = "picture.dot"\n'
    )
    define(root, "tool", "[]")
    define(root, "lib", "[tool]")
    define(root, "app", "[lib]", "pipeline: [{uses: my/step}]")
    (root / "Makefile").write_text("all:\npackages/%.apk:\n\ttrue\n")
    return tmp_path


@pytest.mark.parametrize("here", [".", "distribution", "distribution/own"])
def test_its_paths_are_relative_to_it(place: Path, here: str) -> None:
    root = place / "distribution"
    out, err = dag("text", "-d", root, "-t", "name", cwd=place / here)
    assert (out.split(), err) == (["tool", "lib", "app"], "")
    dag("svg", "-d", root, "--format", "dot", cwd=place / here)
    assert (root / "picture.dot").is_file()
    out, _ = dag("pod", "-d", root, "--create=false", "--push=false", cwd=place / here)
    assert "--repository-append ./bootstrap" in out
    assert "--keyring-append ./bootstrap/key.pub" in out
    (root / "packages").mkdir(exist_ok=True)
    out, _ = dag("build", "-d", root, "--dry-run", cwd=place / here)
    assert "skipped tool 1.10-r2: in a repository" in out


def test_flags_are_relative_to_where_dag_runs(place: Path) -> None:
    _, err = dag("text", "-d", "distribution", "-r", "bootstrap", cwd=place, code=2)
    assert "Invalid value for --repository: Path 'bootstrap' does not exist." in err
    _, err = dag("text", "-d", "distribution", "-r", "distribution/bootstrap", cwd=place)
    assert err == ""
    _, err = dag("text", "-d", "distribution", "--pipeline-dir", "own", cwd=place, code=2)
    assert "own" in err


@pytest.mark.parametrize("several", ["{0} http://127.0.0.1:{1}/b", "{0}:{0}/none"])
def test_repositories_in_the_environment_may_be_urls(
    place: Path, monkeypatch: pytest.MonkeyPatch, several: str
) -> None:
    root = place / "distribution"
    monkeypatch.setenv("DAG_REPOSITORY", several.format(root / "bootstrap", 1))
    _, err = dag("text", "-d", root, cwd=place, code=3 if "://" in several else 2)
    last = "http://127.0.0.1:1/b" if "://" in several else f"{root}/bootstrap/none"
    assert last in err


def test_a_pod_leaves_out_what_the_repository_has_and_what_only_that_needs(place: Path) -> None:
    root = place / "distribution"

    def made(*words: str) -> tuple[set[str], str]:
        out, err = dag("pod", "-d", root, "--create=false", "--push=false", *words)
        return {name for name in ("app", "lib", "tool") if f"/{name}-1.10-r2.apk" in out}, err

    names, err = made("app")
    assert names == {"app", "lib"}, "the repository has lib, but not in this version"
    assert "2 packages to make for x86_64; 1 more are in a repository" in err
    assert made("tool")[0] == {"tool"}, "who names it wants it built"
    assert made("--only", "app")[0] == {"app"}
    assert made()[0] == {"app", "lib"}
    whole = "".join(f"P:{name}\nV:1.10-r2\n\n" for name in ("app", "lib", "tool"))
    (root / "bootstrap/x86_64/APKINDEX.tar.gz").write_bytes(index(whole))
    assert made("app")[0] == {"app"}
    out, err = dag("pod", "-d", root, "--create=false", "--push=false")
    assert out == ""
    assert "0 packages to make for x86_64; 3 more are in a repository" in err
    define(root, "base", "[]")
    define(root, "tool", "[base]")
    assert "dag: 1 package to make for x86_64; 3 more are in" in made("app")[1]


def test_an_assignment_on_the_command_line_is_added_to_those_of_the_file(place: Path) -> None:
    root = place / "distribution"
    with (root / "dag.toml").open("a") as file:
        file.write('[make]\nKEPT = "1"\nCHANGED = "1"\n')
    words = ("--create=false", "--push=false", "--make-var=CHANGED=2")
    printed, _ = dag("pod", "-d", root, *words, cwd=place)
    assert {*re.findall(r"(?:KEPT|CHANGED)=\d", printed)} == {"KEPT=1", "CHANGED=2"}


def test_a_flag_and_a_command_may_have_one_name(tmp_path: Path) -> None:
    def settings(command: Command) -> dict[str, object]:
        return read_settings(str(tmp_path), command, command.section, click.Context(command))

    file = tmp_path / "dag.toml"
    file.write_text('publish = false\n[report]\nout = "page.html"\n')
    assert settings(build.command) == {"publish": False}
    assert settings(publish.command) == {}
    file.write_text("[publish]\nonly = true\n[build]\npublish = false\n")
    assert settings(build.command) == {"publish": False}
    assert settings(publish.command) == {"only": True}
    file.write_text('text = "no flag"\n')
    with pytest.raises(UsageError, match=r"text must be a table, like \[text\]"):
        settings(text_command.command)


def test_a_name_that_means_something_else_in_other_commands_is_theirs_in_their_table_only(
    place: Path,
) -> None:
    root = place / "distribution"
    (root / "dag.toml").write_text('out = "built"\n[cache]\nout = "sources"\n')
    commands = {cache.command: "sources", svg.command: None, pod.command: "built"}
    for command, out in commands.items():
        settings = read_settings(str(root), command, command.section, click.Context(command))
        assert settings.get("out") == (str(root / out) if out else None)


def test_a_wrong_value_is_named_by_where_it_was_written(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = place / "distribution"
    words = ["build", "--dir", str(root), "--dry-run"]

    def said(*more: str) -> str:
        with pytest.raises(click.UsageError) as refused:
            main.main([*words, *more], standalone_mode=False)
        return refused.value.format_message()

    assert said("--jobs=x").startswith("Invalid value for --jobs: 'x'")
    (root / "dag.toml").write_text('arch = "x86_64"\njobs = "y"\n')
    assert said().startswith(f"Invalid value for {root}/dag.toml:2: jobs: 'y'")
    monkeypatch.setenv("DAG_JOBS", "z")
    assert said().startswith("Invalid value for --jobs (from $DAG_JOBS): 'z'")


@pytest.mark.parametrize(
    ("words", "variable", "written", "expected"),
    [
        ("", "", "", 0),
        ("-vv", "", "", 2),
        ("-v --verbose", "", "", 2),
        ("--verbose=true", "", "", 1),
        ("-v=true", "", "", 1),
        ("-v -v=1 -v", "", "", 2),  # what is said of all of them counts from there on
        ("--verbose=false", "", "", 0),
        ("-vv --verbose=F", "", "", 0),
        ("--verbose=3", "", "", 3),
        ("", "true", "", 1),
        ("", "2", "", 2),
        ("", "False", "", 0),
        ("--verbose=false", "true", "true", 0),
        ("-v", "5", "5", 1),
        ("", "", "true", 1),
        ("", "", "false", 0),
        ("", "", '"true"', 1),
        ("", "", "2", 2),
        ("", "false", "2", 0),
    ],
)
def test_a_flag_that_counts_takes_true_and_false_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    variable: str,
    written: str,
    expected: int,
) -> None:
    monkeypatch.setenv("DAG_VERBOSE", variable)
    (tmp_path / "dag.toml").write_text(f"verbose = {written}\n" if written else "")
    context = text_command.command.make_context("text", ["--dir", str(tmp_path), *words.split()])
    assert context.params["verbose"] == expected


@pytest.mark.parametrize("value", ["often", "-1", "1.5", ""])
def test_a_flag_that_counts_takes_nothing_else(tmp_path: Path, value: str) -> None:
    with pytest.raises(click.UsageError, match="is neither true or false nor a number"):
        text_command.command.make_context("text", ["--dir", str(tmp_path), f"--verbose={value}"])


@pytest.mark.parametrize("name", ["", "BAD NS", "../x", "-a"])
def test_what_kubernetes_cannot_call_anything_is_refused_here(place: Path, name: str) -> None:
    words = ("-d", place / "distribution", "--create=false", "--push=false")
    for flag in ("--namespace", "--service-account"):
        _, err = dag("pod", *words, f"{flag}={name}", cwd=place, code=2)
        assert f"{name!r} is no name in Kubernetes" in err


def test_a_pod_is_told_of_cycles_that_no_repository_opens(place: Path) -> None:
    root = place / "distribution"
    words = ("pod", "-d", root, "--create=false", "--push=false")
    _, err = dag(*words, cwd=place)
    assert "because of cycles" not in err
    define(root, "ouro", "[boros]")
    define(root, "boros", "[ouro]")
    _, err = dag(*words, cwd=place)
    assert "dag: because of cycles 1 need will not be built in time" in err
    _, err = dag(*words, "app", cwd=place)
    assert "because of cycles" not in err


@pytest.mark.parametrize(
    ("table", "meant"),
    [("buidl", "[build]"), ("maek", "[make]"), ("units", "[unit]"), ("cach", "[cache]")],
)
def test_a_table_that_is_no_command_is_answered_with_the_one_that_was_meant(
    tmp_path: Path, table: str, meant: str
) -> None:
    define(tmp_path, "one", "[]")
    (tmp_path / "dag.toml").write_text(f"[{table}]\njobs = 3\n")
    _, err = dag("text", "-d", tmp_path, code=2)
    assert f"dag.toml:1: no command is called {table!r}\nhint: did you mean {meant}" in err


@pytest.mark.parametrize(
    "text", ['rebuild = ["dependents", "all"]\n', '[build]\nrebuild = "all"\n']
)
def test_only_the_command_line_can_ask_to_build_everything_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def parse(*words: str) -> object:
        made = build.command.make_context("build", ["-d", str(tmp_path), *words])
        return made.params["rebuild"]

    line = text.count("\n")
    (tmp_path / "dag.toml").write_text(text)
    with pytest.raises(UsageError, match=rf"dag\.toml:{line}: rebuild all: only the command line"):
        parse()
    (tmp_path / "dag.toml").write_text('rebuild = ["dependents"]\n')
    assert parse() == ("dependents",)
    assert parse("--rebuild=all") == ("all",)
    monkeypatch.setenv("DAG_REBUILD", "a all")
    with pytest.raises(UsageError, match=r"--rebuild \(from \$DAG_REBUILD\) all: only"):
        parse()


def test_what_is_common_to_all_units_stands_in_a_table_that_no_command_owns(tmp_path: Path) -> None:
    for name in ("svg", "pod"):  # these do not have the flag
        (tmp_path / "dag.toml").write_text('[unit]\ncommon = ["key"]\n')
        command = {"svg": svg, "pod": pod}[name].command
        settings = read_settings(str(tmp_path), command, command.section, click.Context(command))
        assert settings == {}
    (tmp_path / "dag.toml").write_text('[unit]\ncommon = ["key", "x/*.mk"]\n')
    command = build.command
    settings = read_settings(str(tmp_path), command, command.section, click.Context(command))
    assert settings == {"common": ["key", "x/*.mk"]}
    for text, why in (
        ('[unit]\ncomon = ["key"]\n', "dag.toml:2: no flag is called 'unit.comon'"),
        ("[unit]\ncommon = 7\n", "dag.toml:2: unit.common must be a list of strings"),
        ("unit = 7\n", "unit must be a table"),
    ):
        (tmp_path / "dag.toml").write_text(text)
        with pytest.raises(UsageError, match=why):
            read_settings(str(tmp_path), command, command.section, click.Context(command))


@pytest.mark.parametrize(
    "value",
    [
        *('store = "a\\u0000b"', 'repository = ["a\\u0000"]', 'pipeline-dir = "\\U00000000"'),
        *(
            'junit = "\\u0000"',
            '[make]\n"A\\u0000" = "b"',
            '[melange]\npackage-append = ["\\u0000"]',
        ),
    ],
)
def test_a_value_that_no_file_can_have_as_its_name_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "a.yaml").write_text("package: {name: a, version: 1}\n")
    (tmp_path / "dag.toml").write_text(f"# a\n{value}\n")
    line = 1 + len(value.splitlines())
    done = commands.dag("build", "--dry-run", environment=os.environ, cwd=tmp_path)
    assert done.returncode == 2
    assert f"dag.toml:{line}: a value has the character NUL" in done.stderr
