"""The build script does the same under every sh that an image may have."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from shutil import which

import pytest

from dag.core.arch import Arch
from dag.core.build.scripts import (
    MADE_NOTHING,
    REFUSED,
    MakeVariables,
    Trailer,
    build_script,
    read_trailer,
)
from dag.core.build.usage import USED, parse_usage
from dag.core.package.makefile import KeyMaker
from dag.core.sources.gitconfig import BUILD_CACHE, CONFIG_NAME, ENV_FILE
from tests.support.scripts import MAKEFILE, VARIABLES, Workspace
from tests.support.waiting import eventually, opens_something

SYSTEM = "--ro-bind /usr /usr --ro-bind /bin /bin --ro-bind /lib /lib --ro-bind-try /lib64 /lib64"


def test_make_runs_with_the_targets_in_order_and_the_end_is_counted(workspace: Workspace) -> None:
    code, lines = workspace.run("packages/b.apk", "packages/a.apk")
    made = ["making b for x86_64 with melange.rsa", "making a for x86_64 with melange.rsa"]
    assert (code, lines[:-1]) == (0, made)
    size = sum(len(line) + 1 for line in made)
    assert read_trailer(lines[-1]) == Trailer(2, size, 0)
    assert (workspace.directory.parent / "state/log").read_text().splitlines() == made


def test_the_exit_code_is_makes_and_its_message_is_in_the_log(workspace: Workspace) -> None:
    code, lines = workspace.run("ugly", "packages/a.apk")
    assert code == 2
    assert lines[:2] == ["no", "make: *** [Makefile:3: bad] Error 7"]
    assert read_trailer(lines[-1]) == Trailer(2, len("\n".join(lines[:2])) + 1, 2)


def test_make_takes_the_makefile_that_it_is_given(workspace: Workspace) -> None:
    (workspace.directory / "Makefile").unlink()
    given = f"{MAKEFILE}quoted: ; @echo '$$HOME \"%s\" \\n'\n"
    code, lines = workspace.run("packages/a.apk", "quoted", makefile=given)
    assert (code, lines[0]) == (0, "making a for x86_64 with melange.rsa")
    assert lines[1].startswith('$HOME "%s"')
    assert not (workspace.directory / "Makefile").exists()


def test_keep_going_makes_the_others(workspace: Workspace) -> None:
    code, lines = workspace.run("ugly", "packages/a.apk", keep_going=True)
    assert code == 2
    assert "making a for x86_64 with melange.rsa" in lines


def test_a_last_line_without_a_newline_does_not_swallow_the_count(workspace: Workspace) -> None:
    code, lines = workspace.run("unfinished")
    assert (code, lines[:-1]) == (0, ["first", "last"])
    assert read_trailer(lines[-1]) == Trailer(2, 10, 0)


def test_hermetic_steps_see_no_network_and_others_do(workspace: Workspace) -> None:
    code, lines = workspace.run("networks", hermetic=True)
    assert code == 0
    seen = [line.partition(":")[0].strip() for line in lines[:-1] if ":" in line]
    assert seen == ["lo"]
    _, lines = workspace.run("networks")
    assert len([line for line in lines[:-1] if ":" in line]) > 1


def test_hermetic_names_what_a_failed_step_wanted(workspace: Workspace) -> None:
    name = f"sha256:{'1' * 64}"
    step = f"fn=\"/var/cache/melange/{name}\"\n\twget -T5 'https://example.org/a?b=$c'\nexit 4"
    (workspace.directory / "step").write_text(step)
    code, lines = workspace.run("fetches", before="export STEP=$(cat step)\n", hermetic=True)
    assert code == 2
    assert "dag: --hermetic: a step failed that had no network (exit code 4)" in lines
    wanted = f"dag: --hermetic: fetch wants https://example.org/a?b=$c ({name}), which is not in"
    assert [line for line in lines if line.startswith(wanted)]


@pytest.mark.parametrize("is_there", [True, False])
def test_hermetic_finds_a_repository_in_the_cache(
    workspace: Workspace, tmp_path: Path, *, is_there: bool
) -> None:
    uri = "https://example.org/a.git"
    (workspace.directory / "step").write_text(f'main \\\n  "{uri}" \\\n\nexit 4')
    cache = tmp_path / "a cache"
    cache.mkdir()
    if is_there:
        config = f'[remote "origin"]\n[includeIf "hasconfig:remote.*.url:{uri}"]\n'
        (cache / CONFIG_NAME).write_text(config)
    code, lines = workspace.run(
        "fetches",
        variables=replace(VARIABLES, more=[f"CACHE={cache}"]),
        before="export STEP=$(cat step)\n",
        hermetic=True,
    )
    assert code == 2
    said = f"dag: --hermetic: git-checkout wants {uri}, which is not in the cache"
    assert any(line.startswith(said) for line in lines) is not is_there


def test_no_directory_is_bound_in_which_others_mount(workspace: Workspace) -> None:
    """bwrap gives up if a mount of a container goes while it binds the directory around it."""
    called = workspace.directory / "called"
    real = workspace.directory / "bwrap"
    write = f'case "$*" in *--unshare-ipc*) printf "%s\\n" "$@" >"{called}" ;; esac'
    real.write_text(f'#!/bin/sh\n{write}\nexec {which("bwrap")} "$@"\n')
    real.chmod(0o755)
    made = MAKEFILE.replace("--dev-bind / /", SYSTEM)
    (workspace.directory / "Makefile").write_text(made)
    code, lines = workspace.run("networks", before="PATH=$PWD:$PATH\n")
    assert code == 0, lines
    assert "lo" in {line.partition(":")[0].strip() for line in lines}
    words = called.read_text().splitlines()
    places = {word for option, word in pairwise(words) if option.endswith("bind")}
    assert {"/etc", "/usr"} <= places
    assert places & {"/", "/media", "/mnt", "/run", "/sys", "/tmp", "/var"} == set()


PROXIES = """\
STEP='env | grep -e proxy -e mine | sort' http_proxy='http://a:1/$(x) *' HTTPS_PROXY=http://u:p@b:2
no_proxy=.c NO_PROXY=''
export STEP http_proxy HTTPS_PROXY no_proxy NO_PROXY
unset HTTP_PROXY https_proxy
"""


@pytest.mark.parametrize("flag", ["hermetic", "trust_steps", ""])
def test_steps_get_the_proxies_without_a_login_unless_they_have_no_network(
    workspace: Workspace, flag: str
) -> None:
    code, lines = workspace.run("shows", before=PROXIES, **({flag: True} if flag else {}))
    assert code == 0, lines
    proxies = [] if flag == "hermetic" else ["http_proxy=http://a:1/$(x) *", "no_proxy=.c"]
    assert lines[:-1] == sorted(["mine=a b", *proxies])


def test_steps_need_bubblewrap_unless_they_are_trusted(workspace: Workspace) -> None:
    before = "command() { [ $2 != bwrap ]; }\n"
    code, lines = workspace.run("networks", before=before)
    assert (code, len(lines)) == (REFUSED, 1)
    assert lines[0].startswith("dag: there is no bwrap, which runs the steps of a build: install")
    code, _ = workspace.run("networks", before=before, trust_steps=True)
    assert code == 0


def test_steps_are_led_to_the_repositories_of_the_cache_and_melange_does_not_know(
    workspace: Workspace, tmp_path: Path
) -> None:
    cache = tmp_path / "a cache"
    cache.mkdir()
    made = MAKEFILE.replace("--dev-bind / /", SYSTEM)
    (workspace.directory / "Makefile").write_text(made)
    step = "STEP='echo git=$GIT_CONFIG_SYSTEM; cat $GIT_CONFIG_SYSTEM'\nexport STEP\n"
    variables = replace(VARIABLES, cache_dir=str(cache), more=[f"CACHE={cache}"])
    code, lines = workspace.run("clones", variables=variables, before=step)
    assert (code, lines[0]) == (0, "git=")
    (cache / CONFIG_NAME).write_text("# the config\n")
    code, lines = workspace.run("clones", variables=variables, before=step)
    assert (code, lines[:2]) == (0, [f"git={BUILD_CACHE}/{CONFIG_NAME}", "# the config"])


def test_the_environment_of_git_comes_from_the_script_and_not_from_the_cache(
    workspace: Workspace, tmp_path: Path
) -> None:
    cache = tmp_path / "a cache"
    cache.mkdir()
    (cache / "melange.env").write_text("PLANTED=1\n")
    variables = MakeVariables(
        arch=Arch.parse("x86_64"), source_date_epoch=1, cache_dir=str(cache), more=["A=b"]
    )
    (workspace.directory / "Makefile").write_text("options: ; @printf '<%s>' $(MELANGE_EXTRA_OPTS)")
    for more in ("", "<--env-file><../state/melange.env>"):
        for trusted, added in ((True, more), (False, "")):
            code, lines = workspace.run("options", variables=variables, trust_steps=trusted)
            assert (code, lines[0]) == (0, f"<--cache-dir><{cache}>{added}")
        (cache / CONFIG_NAME).touch()
    assert (workspace.directory / "../state/melange.env").read_text() == ENV_FILE


def test_packages_that_are_there_count_as_built_and_are_indexed(workspace: Workspace) -> None:
    present = workspace.directory / "packages/x86_64"
    present.mkdir(parents=True)
    for name in ("a", "b"):
        (present / f"{name}.apk").touch()
        os.utime(present / f"{name}.apk", (1, 1))
    (workspace.directory / "packages/x86_64/a.yaml").touch()  # it is newer than what was fetched
    with (workspace.directory / "Makefile").open("a") as makefile:
        makefile.write("packages/x86_64/a.apk: packages/x86_64/a.yaml\n")
    melange = workspace.directory / "melange"
    melange.write_text('#!/bin/sh\necho "$@" >called\n')
    melange.chmod(0o755)
    variables = MakeVariables(
        arch=Arch.parse("x86_64"), source_date_epoch=1, cache_dir="/c", more=["MELANGE=./melange"]
    )
    targets = ("packages/x86_64/a.apk", "packages/x86_64/c.apk")
    code, lines = workspace.run(*targets, variables=variables)
    assert code == 0
    assert not [line for line in lines if line.startswith("making x86_64/a")]
    assert [line for line in lines if line.startswith("making x86_64/c")]
    assert (workspace.directory / "called").read_text().split() == [
        *("index", "-o", "packages/x86_64/APKINDEX.tar.gz", "--signing-key", "melange.rsa"),
        *("packages/x86_64/a.apk", "packages/x86_64/b.apk"),
    ]


def test_sigterm_reaches_the_recipe_and_the_log_is_whole(workspace: Workspace) -> None:
    process = workspace.start("slow")
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    lines = out.splitlines()
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopping" in lines
    trailer = read_trailer(lines[-1])
    assert trailer is not None
    assert (trailer.lines, trailer.exit_code) == (len(lines), 143)  # `started` was read before


def test_a_background_process_that_holds_the_log_open_does_not_hold_the_end(
    workspace: Workspace,
) -> None:
    process = workspace.start("daemon", before="sleep() { command sleep 0.2; }\n")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    code = process.wait(30)
    os.kill(int((workspace.directory / "daemon").read_text()), signal.SIGKILL)
    lines += process.stdout.readlines()
    process.stdout.close()
    assert (code, lines[0]) == (0, "served\n")
    assert [read_trailer(line.rstrip()) for line in lines[1:]] == [Trailer(1, 7, 0)]


def test_an_image_without_make_is_refused_by_name(workspace: Workspace, tmp_path: Path) -> None:
    code, lines = workspace.run("all", before="command() { return 1; }\n")
    assert (code, lines) == (3, ["dag: this image has no make: see --sdk-image"])


def test_more_targets_than_one_argument_holds(workspace: Workspace) -> None:
    targets = [f"named/{'long-' * 8}{number}" for number in range(3401)]
    assert sum(map(len, targets)) > 128 << 10
    code, lines = workspace.run(*targets)
    assert (code, [line for line in lines if line.startswith("named/")]) == (0, targets)


ODD = 'it\'s $HOME `id` \\ "x" ; exit 9 #'


def test_assignments_reach_make_and_the_shell_behind_it_unharmed(workspace: Workspace) -> None:
    (workspace.directory / "Makefile").write_text(
        "all: ; @printf '%s\\n' \"$$ODD\" $(MELANGE_EXTRA_OPTS)\nexport ODD\n"
    )
    variables = MakeVariables(
        arch=Arch.parse("arm64"),
        source_date_epoch=1,
        cache_dir="/c",
        repositories=["./with space", "./$dollar's"],
        pipeline_dirs=["./more"],
        build_options=["docs", "tls"],
        more=[f"ODD={ODD.replace('$', '$$')}", "MELANGE_EXTRA_OPTS=--debug"],
    )
    code, lines = workspace.run("all", variables=variables)
    assert code == 0
    assert lines[:-1] == [
        ODD,
        *("--cache-dir", "/c"),
        *("--repository-append", "./with space", "--repository-append", "./$dollar's"),
        *("--pipeline-dirs", "./more", "--build-option", "docs", "--build-option", "tls"),
        "--debug",
    ]


def test_make_has_the_environment_that_the_script_was_given(workspace: Workspace) -> None:
    (workspace.directory / "Makefile").write_text("all: ; @env\n")
    code, lines = workspace.run("all", key_maker=KeyMaker.NOBODY, keep_going=True)
    makes_own = {
        "MAKEFLAGS",
        "MAKEOVERRIDES",
        "MAKELEVEL",
        "MAKE_TERMERR",
        "MAKE_TERMOUT",
        "MFLAGS",
    }
    of_shells = {"PWD", "OLDPWD", "SHLVL", "_"}
    assigned = {word.partition("=")[0] for word in VARIABLES.words()}
    names = {line.partition("=")[0] for line in lines[:-1] if "=" in line}
    assert code == 0
    assert "PATH" in names
    assert names - {*os.environ} <= makes_own | of_shells | assigned


def test_an_option_that_the_script_does_not_know_is_refused(workspace: Workspace) -> None:
    code, lines = workspace.run("all", before="set -- --else=1 --\n")
    assert (code, lines) == (REFUSED, ["dag: the build script knows no option --else=1"])


def test_the_words_that_a_pod_shows_are_those_of_the_script() -> None:
    script = build_script(VARIABLES, key_maker=KeyMaker.NOBODY)
    assert f"nothing='{MADE_NOTHING}'" in script.text
    assert 'echo "${nothing:+$nothing$newline}$trailer" >/dev/termination-log' in script.text


def test_a_build_that_must_be_confined_refuses_to_run_outside_of_a_user_namespace(
    workspace: Workspace,
) -> None:
    code, lines = workspace.run("named/one", confined=True)
    assert code == REFUSED
    (line,) = lines
    assert line.startswith("dag: this node gave the pod no user namespace")


def test_the_build_waits_for_those_who_wait_for_its_end(
    workspace: Workspace, tmp_path: Path
) -> None:
    pipes = [tmp_path / "one", tmp_path / "two"]
    for pipe in pipes:
        os.mkfifo(pipe)
    process = workspace.start("packages/a.apk", pipes=[str(pipe) for pipe in pipes])
    with pipes[1].open() as second, pipes[0].open() as first:
        # `read` ends only when nobody has the pipe open any more.
        assert (first.read(), second.read()) == 2 * ("started\nexit 0\n",)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("making a for x86_64")


def test_what_the_build_took_is_beside_its_log(workspace: Workspace) -> None:
    assert workspace.run("busy")[0] == 0
    usage = parse_usage((workspace.directory.parent / "state" / USED).read_text())
    assert usage is not None
    assert 0.01 < usage.cpu_seconds < 60


def test_a_build_that_still_waits_is_ended(workspace: Workspace, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one")
    process = workspace.start("packages/a.apk", pipes=[str(tmp_path / "one")])

    eventually(lambda: opens_something(process.pid), "it waits for whoever reads the pipe")
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "making" not in out
