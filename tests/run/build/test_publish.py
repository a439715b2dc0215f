"""`dag build --publish=false` and `dag publish`: what is proven here is signed later, or elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.builds import Make, apks, definition, leftovers, new_key, run
from tests.support.schema import checked
from tests.torture.distribution import index
from tests.torture.kills import environment

FAILING = definition("bad", runs="exit 1")


def published(place: Path, *words: str, code: int = 0) -> dict[str, dict[str, list[str]]]:
    """Run `dag publish --json`; return the names of what came of it, by architecture."""
    ended, out, said = run(place, "--json", *words, command="publish")
    assert ended == code, said
    found = checked(out, "published")
    kinds = ("published", "already", "lacking", "refused")
    return {
        one["arch"]: {kind: [unit["name"] for unit in one[kind]] for kind in kinds}
        for one in found["archs"]
    }


def run_tar(package: Path) -> list[str]:
    listed = subprocess.run(
        ["tar", "-tzif", package], capture_output=True, text=True, check=False, env=environment()
    )
    return listed.stdout.splitlines()


def private_keys(*places: Path) -> list[Path]:
    """Return the files below some places that have a private key."""
    files = (path for place in places for path in place.rglob("*") if path.is_file())
    return [path for path in files if b"PRIVATE KEY-----" in path.read_bytes()]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return where keys of stores would be kept."""
    place = tmp_path / "data"
    place.mkdir()
    return place


def test_without_publishing_all_is_proven_and_no_key_is_made(make: Make, home: Path) -> None:
    place = make(lib=definition("lib"), app=definition("app", "lib"))
    settings = (place / "dag.toml").read_text()
    (place / "dag.toml").write_text(f'signing-key = "elsewhere.rsa"\n{settings}')  # not here
    code, _, said = run(place, "--publish=false", XDG_DATA_HOME=str(home))
    assert code == 0, said
    assert "2 built" in said
    assert "nothing of this is published: `dag publish` signs and publishes it" in said
    assert apks(place) == []
    assert not (place / "packages/x86_64/APKINDEX.tar.gz").exists()
    assert not (place / "packages/.dag/key").exists()
    assert private_keys(place / "packages", home) == []
    assert leftovers(place) == []
    assert len(list((place / "packages/.dag/records").rglob("*.json"))) == 2

    code, _, said = run(place, "--publish=false", XDG_DATA_HOME=str(home))
    assert code == 0, said
    assert "2 there already" in said
    assert apks(place) == []


def test_publish_signs_what_is_finished_and_says_what_is_not(make: Make, tmp_path: Path) -> None:
    place = make(lib=definition("lib"), app=definition("app", "lib"), bad=FAILING)
    assert run(place, "--publish=false")[0] == 1
    key = new_key(tmp_path)
    first = {"published": ["app", "lib"], "already": [], "lacking": ["bad"], "refused": []}
    words = (f"--signing-key={key}",)
    assert published(place, "--dry-run", *words) == {"x86_64": first}
    assert apks(place) == []
    assert published(place, *words) == {"x86_64": first}
    assert index(place / "packages") == ["app-1-r0.apk", "lib-1-r0.apk"]
    for name in ("app-1-r0.apk", "lib-1-r0.apk", "APKINDEX.tar.gz"):
        assert run_tar(place / "packages/x86_64" / name)[0].endswith("my.rsa.pub")
    assert run(place, "verify", command="store")[0] == 0

    before = (place / "packages/x86_64/APKINDEX.tar.gz").read_bytes()
    again = {"published": [], "already": ["app", "lib"], "lacking": ["bad"], "refused": []}
    assert published(place, *words) == {"x86_64": again}
    assert (place / "packages/x86_64/APKINDEX.tar.gz").read_bytes() == before
    # Whoever names what is not finished hears of it by the exit code, too.
    assert published(place, "bad", *words, code=1)["x86_64"]["lacking"] == ["bad"]
    code, out, _ = run(place, *words, command="publish")
    assert code == 0
    assert "not published: bad 1-r0: not built: missing\n" in out
    assert out.endswith("0 packages published, 2 already, 1 not finished\n")


def test_the_end_of_a_build_publishes_what_was_left(make: Make) -> None:
    place = make(lib=definition("lib"), app=definition("app", "lib"))
    assert run(place, "--publish=false")[0] == 0
    code, _, said = run(place, "app")
    assert code == 0, said
    assert "1 there already" in said
    assert apks(place) == ["app-1-r0.apk", "lib-1-r0.apk"]


def test_only_named_packages_and_what_they_need(make: Make) -> None:
    place = make(lib=definition("lib"), app=definition("app", "lib"), more=definition("more"))
    assert run(place, "--publish=false")[0] == 0
    assert published(place, "app", "--only")["x86_64"]["published"] == ["app"]
    assert index(place / "packages") == ["app-1-r0.apk"]
    # Whatever is finished counts, also where the plan does not come by any more.
    assert published(place, "app")["x86_64"]["published"] == ["lib"]
    assert index(place / "packages") == ["app-1-r0.apk", "lib-1-r0.apk"]


def test_a_run_is_published_without_its_directory(make: Make, tmp_path: Path) -> None:
    place = make(lib=definition("lib"), bad=FAILING)
    assert run(place, "lib", "--publish=false")[0] == 0
    make(lib=definition("lib", version="2"), app=definition("app"), bad=FAILING)
    code, out, _ = run(place, "--json", "--publish=false")
    assert code == 1
    second = json.loads(out)["run"]
    store, elsewhere = place / "packages", tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = (f"--store={store}", f"--signing-key={new_key(tmp_path)}")
    first = min(runs_of(store))
    expected = {"published": ["lib"], "already": [], "lacking": [], "refused": []}
    assert published(elsewhere, f"--run={first}", *words) == {"x86_64": expected}
    assert index(store) == ["lib-1-r0.apk"]
    expected = {"published": ["app", "lib"], "already": [], "lacking": ["bad"], "refused": []}
    assert published(elsewhere, f"--run={second}", *words, code=1) == {"x86_64": expected}
    assert index(store) == ["app-1-r0.apk", "lib-1-r0.apk", "lib-2-r0.apk"]
    code, _, said = run(elsewhere, "--run=2001", *words, command="publish")
    assert code == 2
    assert "no run" in said or "nothing was built" in said
    code, _, said = run(elsewhere, "lib", f"--run={first}", *words, command="publish")
    assert code == 2
    assert "packages are named besides" in said


def test_of_a_run_that_others_went_on_with_nothing_comes_of_definitions_that_are_gone(
    make: Make, tmp_path: Path
) -> None:
    place = make(lib=definition("lib"), old=definition("old"))
    code, out, _ = run(place, "--json", "--publish=false")
    assert code == 0
    (place / f"packages/.dag/runs/{json.loads(out)['run']}/x86_64/result.json").unlink()
    # As after a kill: the next one goes on with it, of other definitions.
    (place / "old.yaml").unlink()
    make(lib=definition("lib"), app=definition("app"))
    code, out, _ = run(place, "--json", "--publish=false")
    assert code == 0
    store, elsewhere = place / "packages", tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = (f"--store={store}", f"--signing-key={new_key(tmp_path)}")
    expected = {"published": ["app", "lib"], "already": [], "lacking": [], "refused": []}
    found = published(elsewhere, f"--run={json.loads(out)['run']}", *words)
    assert found == {"x86_64": expected}
    assert index(store) == ["app-1-r0.apk", "lib-1-r0.apk"]


def runs_of(store: Path) -> list[str]:
    return [one.name for one in (store / ".dag/runs").iterdir()]


def blob_of(place: Path, name: str) -> Path:
    (record,) = (place / f"packages/.dag/records/x86_64/{name}").rglob("*.json")
    (built,) = json.loads(record.read_bytes())["built"]
    digest: str = built["apk"]["sha256"]
    return place / "packages/.dag/blobs/sha256" / digest


def test_a_blob_that_differs_or_lacks_is_refused_by_name_and_others_are_published(
    make: Make,
) -> None:
    place = make(lib=definition("lib"), app=definition("app"), zoo=definition("zoo"))
    assert run(place, "--publish=false")[0] == 0
    (run_id,) = runs_of(place / "packages")
    damaged = blob_of(place, "lib")
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(data)
    code, out, said = run(place, command="publish")
    assert code == 3, said
    assert f"lib 1-r0 is refused: {damaged}, which is lib 1-r0, is damaged\n" in out
    assert index(place / "packages") == ["app-1-r0.apk", "zoo-1-r0.apk"]
    # The end of a build says the same.
    code, _, said = run(place)
    assert code == 3
    assert f"lib could not be published: {damaged}, which is lib 1-r0, is damaged" in said
    blob_of(place, "zoo").unlink()
    found = published(place, f"--run={run_id}", code=3)["x86_64"]
    assert (found["already"], found["refused"]) == (["app"], ["lib", "zoo"])
    # What was published is taken in again, as at any build.
    found = published(place, code=3)["x86_64"]
    assert (found["already"], found["refused"]) == (["app", "zoo"], ["lib"])
    blob_of(place, "lib").unlink()
    assert published(place)["x86_64"]["lacking"] == ["lib"]


def test_nothing_that_builds_has_to_be_there(make: Make, tmp_path: Path) -> None:
    place = make(lib=definition("lib"))
    assert run(place, "--publish=false")[0] == 0
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "melange").symlink_to(str(shutil.which("melange", path=environment()["PATH"])))
    code, _, said = run(place, command="publish", PATH=str(programs))
    assert code == 0, said
    assert index(place / "packages") == ["lib-1-r0.apk"]


def test_no_store_is_made(make: Make, tmp_path: Path) -> None:
    place = make(lib=definition("lib"))
    code, _, said = run(place, f"--store={tmp_path}/none", command="publish")
    assert code == 2
    assert f"{tmp_path}/none is no store: it has no .dag" in said
    assert not (tmp_path / "none").exists()


def test_a_key_that_is_not_there_is_refused_before_anything(make: Make) -> None:
    place = make(lib=definition("lib"))
    assert run(place, "--publish=false")[0] == 0
    for command in ("publish", "build"):
        code, _, said = run(place, "--signing-key=none.rsa", command=command)
        assert code == 2
        assert "there is no file none.rsa, which --signing-key names" in said
    assert apks(place) == []


def test_a_package_signed_elsewhere_is_taken_by_melange(make: Make, tmp_path: Path) -> None:
    place, store = make(lib=definition("lib")), tmp_path / "store"
    assert run(place, "--publish=false", f"--store={store}")[0] == 0
    key = new_key(tmp_path)
    published(place, f"--signing-key={key}", f"--store={store}")
    shutil.rmtree(store / ".dag/blobs")  # only what is published is left
    user = make(user=definition("user", "lib", runs="test -s /usr/share/torture/lib"))
    (user / "lib.yaml").unlink()
    words = ["-r", str(store), "--keyring", f"{key}.pub"]
    settings = (user / "dag.toml").read_text().splitlines()
    bootstrap = settings[0].split('"')[1]
    words += ["-r", bootstrap, "--keyring", f"{bootstrap}/bootstrap.rsa.pub"]
    code, _, said = run(user, *words, "--store", str(tmp_path / "other"))
    assert code == 0, said
