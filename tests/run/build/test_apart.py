"""`--sign apart`: a build asks a signer that has the key, and which trusts this machine's engine alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run.build.test_publish import private_keys, published
from tests.support.builds import Make, apks, definition, new_key, run
from tests.support.waiting import eventually
from tests.torture.distribution import index
from tests.torture.kills import dag, environment

APART = ("--sign=apart", "--signer-timeout=60s")


class Signer:
    """A signer that somebody else runs, with keys that the builds do not have."""

    def __init__(self, place: Path, home: Path) -> None:
        self.place = place
        place.mkdir()
        self.key = new_key(place)
        self.home = home

    def sign(self, store: Path, *more: str) -> subprocess.CompletedProcess[str]:
        engines = self.home / "dag/keys/engine"
        words = ["agent", "sign", f"--store={store}", f"--state={self.place / 'state'}"]
        words += [f"--key={self.key}", "--public-name=my.rsa.pub", f"--engines={engines}"]
        return subprocess.run(
            [sys.executable, "-m", "dag", *words, *more],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the keys of this machine are."""
    place = tmp_path / "data"
    monkeypatch.setenv("XDG_DATA_HOME", str(place))
    return place


@pytest.fixture
def signer(tmp_path: Path, home: Path) -> Signer:
    return Signer(tmp_path / "signer", home)


def build(place: Path, signer: Signer, *words: str) -> tuple[int, str]:
    """Build, and have the signer answer as soon as it is asked; return the exit code and stderr."""
    process = dag(place, "build", *APART, *words)
    requests = place / "packages/.dag/requests"
    before = {*requests.rglob("*.json")}
    eventually(
        lambda: process.poll() is not None or {*requests.rglob("x86_64.json")} - before,
        "the build asks the signer",
        120,
    )
    done = signer.sign(place / "packages")
    assert done.returncode == 0, done.stderr
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


def test_the_signer_signs_what_this_build_has_proven(make: Make, signer: Signer) -> None:
    place = make(lib=definition("lib"), app=definition("app", "lib"))
    code, said = build(place, signer)
    assert code == 0, said
    assert "waiting for the signer to answer the request" in said
    assert index(place / "packages") == ["app-1-r0.apk", "lib-1-r0.apk"]
    assert (place / "packages/.dag/key/my.rsa.pub").exists()
    assert private_keys(place / "packages") == []
    # The engine's own key signs requests; that of the store is made by nobody.
    assert [one.name for one in private_keys(signer.home)] == ["engine.rsa"]
    assert run(place, "verify", command="store")[0] == 0
    # Nothing new: the same is asked for again, and it is there.
    code, said = build(place, signer)
    assert code == 0, said


def test_what_was_proven_before_is_attested_by_who_has_seen_it_alone(
    make: Make, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(lib=definition("lib"), app=definition("app"))
    assert run(place, "lib", "--publish=false", "--sign=apart")[0] == 0  # seen, and not asked for
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    assert run(place, "app", "--publish=false", "--sign=apart")[0] == 0  # another machine
    monkeypatch.setenv("XDG_DATA_HOME", str(signer.home))
    code, said = build(place, signer)
    assert code == 3
    assert "app could not be published: no request has attested it" in said
    assert "hint: `dag build --sign apart --rebuild PKG` builds it again" in said
    assert index(place / "packages") == ["lib-1-r0.apk"]
    assert apks(place) == ["lib-1-r0.apk"]


def test_what_cannot_be_remembered_is_built_again_and_not_finished_without_a_witness(
    make: Make, home: Path
) -> None:
    place = make(lib=definition("lib"))
    home.mkdir()
    (home / "dag").write_text("a file in the way")
    code, _, said = run(place, "--publish=false", "--sign=apart")
    assert code == 3
    assert "what was proven cannot be remembered" in said
    assert not [*(place / "packages/.dag/records").rglob("*.json")]


def test_publish_asks_the_signer_too_and_waits_no_longer_than_it_may(
    make: Make, signer: Signer
) -> None:
    place = make(lib=definition("lib"))
    assert run(place, "--publish=false", "--sign=apart")[0] == 0
    code, _, said = run(place, "--sign=apart", "--signer-timeout=300ms", command="publish")
    assert code == 3
    assert "the signer has not answered the request" in said
    by_hand = f"no CronJob reaches a directory, so whoever has the key answers with `dag agent sign --store={place / 'packages'} "
    waiting, _, hint = said.partition("hint: ")
    assert by_hand in waiting
    assert by_hand in hint
    assert "`dag publish --sign apart` asks once more" in hint
    assert signer.sign(place / "packages").returncode == 0
    assert published(place)["x86_64"]["already"] == ["lib"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_the_signer_can_be_interrupted_and_asks_again(
    make: Make, signer: Signer, number: signal.Signals
) -> None:
    place = make(a=definition("a"))
    process = dag(place, "build", *APART)
    requests = place / "packages/.dag/requests"
    eventually(
        lambda: process.poll() is not None or any(requests.rglob("x86_64.json")),
        "the build asks the signer",
        120,
    )
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert (process.returncode, "dag: interrupted" in said) == (130, True), said
    assert build(place, signer)[0] == 0
    assert apks(place) == ["a-1-r0.apk"]


def test_the_signer_says_what_it_lacks(make: Make, signer: Signer, home: Path) -> None:
    place = make(lib=definition("lib"))
    assert run(place, "--publish=false", "--sign=apart")[0] == 0
    done = signer.sign(place / "packages")
    assert done.returncode == 3
    assert "no key of an engine is known" in done.stderr
    engines = home / "dag/keys/engine"
    engines.mkdir(parents=True)
    (engines / "engine.rsa.pub").write_bytes(Path(f"{signer.key}.pub").read_bytes())
    assert signer.sign(place / "packages", "--check").returncode == 0
    assert (place / "packages/.dag/key/my.rsa.pub").exists()
    (place / "packages/.dag/key/melange.rsa.pub").write_text("of the store's own key")
    done = signer.sign(place / "packages", "--check", "--public-name=melange.rsa.pub")
    assert done.returncode == 3
    assert "is of another key than the one that signs here" in done.stderr
    signer.key.unlink()
    done = signer.sign(place / "packages", "--check")
    assert done.returncode == 3
    assert "the key must be a file that you can read" in done.stderr
