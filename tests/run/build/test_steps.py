"""Whatever a step of melange does, it changes its own package, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.core.sources.gitstate import Ref, VerifiedState
from dag.io.sources.cache import Cache
from dag.io.sources.git.stored import write_config
from tests.support.builds import Make, apks, definition, run
from tests.support.users import bring, build_as, give_to_nobody
from tests.torture.kills import environment

TRIES = Path(__file__).with_name("tries_everything.sh").read_text()
WRITES_CACHE = """\
cd /var/cache/melange
echo planted >planted
echo 'PLANTED=1' >>melange.env
for repository in git/*/*.git; do
  [ ! -d "$repository" ] || printf '[core]\\n\\tfsmonitor = "touch /planted"\\n' >>"$repository/config" || true
done
mkdir -p .dag && rm -f .dag/verified && ln -s /planted-through-a-link .dag/verified
"""
VICTIM = """\
[ -z "$PLANTED" ]
[ ! -e /var/cache/melange/planted ]
[ ! -e /var/cache/melange/.dag ]
"""


def snapshot(*places: Path) -> dict[str, object]:
    """Return everything about every file below some directories."""
    found: dict[str, object] = {}
    for place in places:
        for path in [place, *place.rglob("*")]:
            status = path.lstat()
            data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            link = path.readlink() if path.is_symlink() else None
            facts = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, link)
            found[str(path)] = (*facts, hashlib.sha256(data).hexdigest())
    return found


def fill(cache: Path) -> str:
    """Make a cache with a file and a repository in it, and return the file's name."""
    name = f"sha256:{hashlib.sha256(b'a source').hexdigest()}"
    repository = cache / "git/example.org/a.git"
    repository.mkdir(parents=True)
    (repository / "config").write_text("[core]\n\tbare = true\n")
    refs = {"refs/tags/v1": Ref("1" * 40, ("1" * 40,))}
    state = VerifiedState(refs=refs, bases=frozenset({"https://example.org/a"}))
    (repository / "dag.json").write_text(state.text())
    (cache / name).write_bytes(b"a source")
    write_config(Cache(cache))
    (cache / ".dag/verified").write_text("")
    return name


@pytest.fixture
def abstract() -> Iterator[str]:
    """Return the name of a socket of the machine that is no file."""
    name = f"dag-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        yield name


@pytest.mark.parametrize("flags", [(), ("--hermetic",)])
@pytest.mark.parametrize("as_nobody", [False, True])
def test_a_step_that_tries_everything_changes_nothing_outside(
    make: Make,
    base: Path,
    abstract: str,
    flags: tuple[str, ...],
    as_nobody: bool,
) -> None:
    outside = base / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    outside.chmod(0o777)
    network = abstract if flags else "none of that name"
    head = f"OUTSIDE={outside}\nSOCKET='{network}'\n"
    name = f"sha256:{hashlib.sha256(b'a source').hexdigest()}"
    sees = f": {name} https://example.org/a\n"
    text = definition("tries", runs=head + sees + TRIES)
    text += "  - runs: |\n      echo the second step\n"
    place = bring(make(tries=text, other=definition("other")), base)
    fill(place / "cache")
    assert run(place, "other")[0] == 0
    home = base / "home"
    (home / "kept").mkdir(parents=True)
    (home / "kept/.netrc").write_text("secret")
    if as_nobody:
        give_to_nobody(base)
    watched = [outside, home / "kept", place / "cache", place / "packages/x86_64"]
    watched += [place / "packages/.dag/records", *place.glob("*.yaml"), place / "Makefile"]
    before = snapshot(*watched), Path("/etc/resolv.conf").stat()
    code, said = build_as(
        place, home, "--store", str(base / "store"), *flags, "tries", as_nobody=as_nobody
    )
    logs = [path.read_text() for path in (base / "store/.dag/runs").rglob("tries.log")]
    assert logs, said
    (log,) = logs
    assert [line for line in log.splitlines() if "COULD" in line] == []
    assert "tried everything" in log, log
    assert snapshot(*watched) == before[0]
    assert Path("/etc/resolv.conf").stat() == before[1]
    assert list((base / "store/.dag/work").iterdir()) == [], said
    assert code in (0, 1)  # its own sandbox cannot be set up any more, or can


def test_what_a_step_writes_into_the_cache_reaches_no_other_unit(make: Make) -> None:
    place = make(
        attacker=definition("attacker", runs=WRITES_CACHE),
        victim=definition("victim", "attacker", runs=VICTIM),
    )
    fill(place / "cache")
    before = snapshot(place / "cache")
    code, _, said = run(place)
    assert code == 0, said
    assert snapshot(place / "cache") == before
    assert apks(place) == ["attacker-1-r0.apk", "victim-1-r0.apk"]


def test_a_unit_has_a_cache_of_its_own_with_just_the_sources_that_its_steps_name(
    make: Make,
) -> None:
    file = f"sha256:{hashlib.sha256(b'a source').hexdigest()}"
    steps = (
        'test -z "$(ls -d sha* git)"; mkdir go; echo module >go/module; chmod 555 go',
        f"grep -q 'a source' {file}; if echo x >>{file}; then exit 1; fi",
        ": https://example.org/a\n      if touch git/example.org/a.git/x; then exit 1; fi",
        f"grep module go/module; grep bare git/example.org/a.git/config; test -s {file}",
        "if echo x >>gitconfig; then exit 1; fi; test ! -e melange.env; test ! -e .dag",
    )
    text = definition("caches")
    for step in steps:
        text += f"  - runs: |\n      cd /var/cache/melange; {step}\n"
    gone = "test ! -e /var/cache/melange/go"
    place = make(caches=text, after=definition("after", "caches", runs=gone))
    fill(place / "cache")
    before = snapshot(place / "cache")
    code, _, said = run(place)
    assert code == 0, said
    assert snapshot(place / "cache") == before


def test_what_an_earlier_version_let_steps_plant_in_a_cache_reaches_no_step(make: Make) -> None:
    runs = "env >/home/build/env; if grep PLANTED /home/build/env; then exit 1; fi\n"
    runs += "if grep planted /var/cache/melange/gitconfig; then exit 1; fi\n"
    runs += f"if cat /var/cache/melange/sha256:{'0' * 64}; then exit 1; fi"
    place = make(victim=definition("victim", runs=runs))
    fill(place / "cache")
    for name in ("gitconfig", "git/example.org/a.git/gitconfig"):
        with (place / "cache" / name).open("a") as file:
            file.write('[core]\n\tfsmonitor = "touch /planted"\n')
    with (place / "cache/melange.env").open("a") as file:
        file.write("PLANTED=1\n")
    (place / "cache" / f"sha256:{'0' * 64}").symlink_to("/etc/passwd")
    old = place / "packages/.dag/cache"
    old.mkdir(parents=True)
    (old / "gitconfig").write_text("[core]\n\tfsmonitor = touch /planted\n")
    code, _, said = run(place)
    assert code == 0, said
    assert not (old / "gitconfig").exists()
    assert "planted" not in (place / "cache/gitconfig").read_text()
    assert "planted" not in (place / "cache/git/example.org/a.git/gitconfig").read_text()


LEAVES_MODES = """\
mkdir -p /home/build/a/b/c/d /var/cache/melange/a/b
chmod 0 /home/build/a/b/c/d /home/build/a/b/c /home/build/a/b /home/build/a
chmod 0 /var/cache/melange/a/b /var/cache/melange/a
i=0
cd /home/build
while [ $i -lt 1100 ]; do mkdir deep-directory && cd deep-directory || exit 1; i=$((i + 1)); done
exit 1
"""


@pytest.mark.parametrize("as_nobody", [False, True])
def test_what_a_step_leaves_without_rights_is_removed(
    make: Make, base: Path, as_nobody: bool
) -> None:
    definitions = make(leaves=definition("leaves", runs=LEAVES_MODES), other=definition("other"))
    place = bring(definitions, base)
    store, home = base / "store", base / "home"
    home.mkdir()
    if as_nobody:
        give_to_nobody(base)
    for _ in range(2):
        words = ("--store", str(store), "--rebuild", "other")
        code, said = build_as(place, home, *words, as_nobody=as_nobody)
        assert code == 1, said
        assert "FAILED leaves 1-r0: exit status 1 in a step" in said
        assert "built other 1-r0" in said
        assert list((store / ".dag/work").iterdir()) == []


def test_mounting_is_refused_and_giving_files_away_is_not(make: Make) -> None:
    runs = "mkdir /opt/d\n"
    for words in ("-t devtmpfs none /opt/d", "-t tmpfs none /opt/d", "-o remount,rw /sys"):
        runs += f"if busybox mount {words}; then exit 1; fi\n"
    runs += 'touch "${{targets.destdir}}/file"; chown 12:34 "${{targets.destdir}}/file"'
    asks = definition("asks", runs=runs) + "capabilities:\n  add: [CAP_SYS_ADMIN]\n"
    place = make(mounts=definition("mounts", runs=runs), asks=asks)
    code, _, said = run(place)
    assert code == 0, said
    log = (place / "packages/logs/x86_64/asks.log").read_text()
    assert "dag: steps do not get the capability CAP_SYS_ADMIN" in log


# ---- where it cannot be had ---------------------------------------------------------------------


NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
NO_MORE = "echo 0 >/proc/sys/user/max_user_namespaces"
BARE = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "sh", "-c")
"""Root without any capability, as in a container that is not privileged."""


@pytest.mark.parametrize(
    ("around", "before", "said", "works"),
    [
        (NAMESPACE, "", "the ids 0 to 65535 cannot be mapped into a user namespace here", True),
        (NAMESPACE, NO_MORE, "set user.max_user_namespaces to 15000", True),
        (BARE, "", "cannot be confined here", False),
    ],
)
def test_where_steps_cannot_be_confined_nothing_is_built_unless_they_are_trusted(
    make: Make, around: tuple[str, ...], before: str, said: str, works: bool
) -> None:
    place = make(one=definition("one"))
    words = [sys.executable, "-m", "dag", "build"]
    command = [*around, f'{before}\nexec "$@"', "sh", *words]

    def build(*more: str) -> tuple[int, str]:
        done = subprocess.run(
            [*command, *more],
            cwd=place, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    code, words_said = build()
    assert code == 3
    assert said in words_said
    assert "or trust all steps with --trust-steps" in words_said
    assert "building one" not in words_said
    if not works:  # not even for melange alone
        return
    code, words_said = build("--trust-steps")
    assert code == 0, words_said
    assert "--trust-steps: the steps of a build have all rights that you have" in words_said


def test_only_the_command_line_can_trust_steps(make: Make) -> None:
    place = make(one=definition("one"))
    with (place / "dag.toml").open("a") as file:
        file.write("trust-steps = true\n")
    code, _, said = run(place, DAG_TRUST_STEPS="1")
    assert code == 2
    assert "trust-steps" in said


def test_another_runner_needs_trust(make: Make) -> None:
    code, _, said = run(make(one=definition("one")), "--make-var", "MELANGE_RUNNER=docker")
    assert code == 2
    assert "trust all steps with --trust-steps" in said


@pytest.mark.parametrize("around", ["/dev/shm", "/var/tmp", "/root", "/tmp"])
def test_units_are_built_wherever_the_store_is(make: Make, around: str) -> None:
    place = make(one=definition("one"), two=definition("two", "one"))
    with tempfile.TemporaryDirectory(dir=around if os.access(around, os.W_OK) else None) as store:
        code, _, said = run(place, f"--store={store}")
        assert code == 0, said
        assert sorted(path.name for path in Path(store).glob("x86_64/*.apk")) == [
            "one-1-r0.apk",
            "two-1-r0.apk",
        ]


def test_a_directory_may_have_a_name_that_is_no_text(make: Make, tmp_path: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd \xff"))
    shutil.copytree(make(one=definition("one"), two=definition("two", "one")), place)
    code, _, said = run(place)
    assert code == 0, said
    assert apks(place) == ["one-1-r0.apk", "two-1-r0.apk"]


@pytest.mark.parametrize(
    ("name", "why"), [("a:b", "PATH cannot name"), ("a\nb", "make cannot name")]
)
def test_a_store_that_no_program_can_be_told_of_is_refused(
    make: Make, tmp_path: Path, name: str, why: str
) -> None:
    place = make(one=definition("one"))
    store = tmp_path / name
    for command, more in (("build", ()), ("doctor", ("--on=local",))):
        code, out, said = run(place, f"--store={store}", *more, command=command)
        assert code == 2, said
        assert f"{why} a directory with a " in out + said
        assert "with --store" in out + said
    assert not list(tmp_path.rglob("*.apk"))


def test_no_other_user_gets_to_what_a_step_leaves(make: Make) -> None:
    place = make(one=definition("one"))
    text = (place / "Makefile").read_text()
    (place / "Makefile").write_text(
        text.replace("\tmkdir -p ./", "\t@stat -c 'rights %a' ..\n\tmkdir -p ./")
    )
    code, _, said = run(place)
    assert code == 0, said
    assert "rights 700" in (place / "packages/logs/x86_64/one.log").read_text()
