"""What builds get of repositories: what was chosen, by its checksum, and nothing else."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from dag.core.package.apk import archive_of
from dag.core.store.records import decode_record
from tests.support.apks import read
from tests.support.builds import Make, definition, run
from tests.support.faults import Answer, Origin
from tests.support.melange import binary as melange

ARCH = "x86_64"


def serve(origin: Origin, directory: Path, at: str = "") -> str:
    """Serve a repository as it is now; return its URL."""
    for path in directory.rglob("*"):
        if path.is_file():
            origin.put(f"{at}/{path.relative_to(directory)}", path.read_bytes())
    return f"{origin.url}{at}"


@pytest.fixture
def bootstrap(empty: Path) -> Path:
    return empty / "bootstrap"


def use(place: Path, repository: str, key: Path) -> None:
    (place / "dag.toml").write_text(f'repository = ["{repository}"]\nkeyring = ["{key}"]\n')


def test_each_package_is_fetched_once_and_nothing_else_is_served(
    make: Make, origin: Origin, bootstrap: Path, tmp_path: Path
) -> None:
    place = make(a=definition("a"), b=definition("b", "a"), c=definition("c"))
    use(place, serve(origin, bootstrap), bootstrap / "bootstrap.rsa.pub")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "user")}
    code, out, said = run(place, "--json", **cache)
    assert code == 0, said
    assert json.loads(out)["open"] == {}
    fetched = [one.request.target for one in origin.matching(path=r"\.apk$")]
    assert len(fetched) == len(set(fetched)) > 0
    assert origin.count(path="APKINDEX") == 1
    # A record tells of just what came: its key goes by the index, which has a SHA-1.
    for path in (place / "packages/.dag/records").rglob("*.json"):
        record = decode_record(path.read_bytes())
        assert record.inputs is not None
        assert record.served.keys() == {one.name for one in record.inputs.repository}
        for one in record.inputs.repository:
            apk = bootstrap / ARCH / f"{one.name}-{one.version}.apk"
            assert record.served[one.name] == read(apk).sha256
    # melange itself asked nobody.
    assert {one.request.header("user-agent") for one in origin.exchanges} == {"dag"}
    # Another store needs no package again.
    code, _, said = run(place, "--store", str(tmp_path / "other"), **cache)
    assert code == 0, said
    assert [one.request.target for one in origin.matching(path=r"\.apk$")] == fetched


def test_repositories_of_definitions_are_served_too(
    make: Make, origin: Origin, bootstrap: Path, tmp_path: Path
) -> None:
    url = serve(origin, bootstrap, "/own")
    names = (
        f"  contents:\n    repositories:\n      - {url}  # the compiler's\n"
        f"      - '@tagged {url}/'\n    keyring: [{url}/bootstrap.rsa.pub, keys/none.rsa.pub]\n"
    )
    serve(origin, bootstrap, "/named")

    def naming(text: str) -> str:
        return text.replace("  contents:\n", names).replace("- busybox", "- busybox@tagged")

    place = make(a=naming(definition("a")), b=naming(definition("b", "a")), c=definition("c"))
    (place / "keys").mkdir()
    (place / "keys" / "none.rsa.pub").write_bytes((bootstrap / "bootstrap.rsa.pub").read_bytes())
    use(place, f"{origin.url}/named", bootstrap / "bootstrap.rsa.pub")
    code, out, said = run(place, "--json", XDG_CACHE_HOME=str(tmp_path / "user"))
    assert code == 0, said
    assert json.loads(out)["open"] == {}, said
    assert {one.request.header("user-agent") for one in origin.exchanges} == {"dag"}
    fetched = [one.request.target for one in origin.matching(path=r"\.apk$")]
    assert len({Path(one).name for one in fetched}) == len(fetched)
    # What is built names what it was built with, and that is beside the workspace.
    with tarfile.open(place / "packages" / ARCH / "b-1-r0.apk") as apk:
        file = apk.extractfile(".melange.yaml")
        assert file is not None
        assert "../inputs/" in (text := file.read().decode())
        assert url not in text
    assert url in (place / "a.yaml").read_text()


def test_what_a_repository_serves_instead_breaks_the_unit_with_words(
    make: Make, origin: Origin, bootstrap: Path, tmp_path: Path
) -> None:
    place = make(a=definition("a"))
    use(place, serve(origin, bootstrap), bootstrap / "bootstrap.rsa.pub")
    (busybox,) = (bootstrap / ARCH).glob("busybox-[0-9]*.apk")
    (other, *_) = (one for one in (bootstrap / ARCH).glob("*.apk") if one != busybox)
    origin.put(f"/{ARCH}/{busybox.name}", other.read_bytes())
    code, out, said = run(place, "--json", XDG_CACHE_HOME=str(tmp_path / "user"))
    assert code == 1, said
    (unit,) = json.loads(out)["units"]
    assert unit["attempts"] == 1
    assert (
        f"{origin.url}/{ARCH}/{busybox.name} is not what the index of {origin.url}" in unit["cause"]
    )
    assert "its checksum is Q1" in unit["cause"]
    assert "if the repository is being changed, try again later" in unit["cause"]
    origin.handle(f"/{ARCH}/{busybox.name}", lambda _: Answer.of(404))
    code, out, said = run(place, "--json", XDG_CACHE_HOME=str(tmp_path / "user"))
    assert code == 1, said
    assert "is not there, although the index lists it" in json.loads(out)["units"][0]["cause"]


def test_a_unit_that_cannot_be_served_is_open_and_says_so(
    make: Make, bootstrap: Path, tmp_path: Path
) -> None:
    place = make(a=definition("a"))
    text = (place / "Makefile").read_text()
    (place / "Makefile").write_text(text.replace("${MELANGE} build", f"{melange()} build"))
    cache = {"XDG_CACHE_HOME": str(tmp_path / "user")}
    code, out, said = run(place, "--json", **cache)
    assert code == 0, said
    why = "the Makefile does not call the melange in PATH or $(MELANGE)"
    assert json.loads(out)["open"] == {"a": why}
    assert f"1 package open, melange chose from repositories itself: a; {why}" in said
    (place / "Makefile").write_text(text)
    words = ("--rebuild", "a", "--make-var", f"MELANGE={melange()}")
    code, out, said = run(place, "--dry-run", *words, **cache)
    assert code == 0, said
    assert (
        "open, melange chooses from repositories itself: a; --make-var names another melange\n"
        in out
    )
    code, out, said = run(place, "--json", *words, **cache)
    assert code == 0, said
    assert json.loads(out)["open"] == {"a": "--make-var names another melange"}


def test_what_one_build_unpacked_is_found_by_the_next(
    make: Make, bootstrap: Path, tmp_path: Path
) -> None:
    place = make(a=definition("a"), b=definition("b", "a"))
    user = tmp_path / "user"
    code, _, said = run(place, "-v", XDG_CACHE_HOME=str(user))
    assert code == 0, said
    unpacked = sorted((user / "dag" / "packages-unpacked").rglob("*.tar"))
    assert unpacked
    assert not (user / "dev.chainguard.go-apk").exists()
    before = {path: path.stat().st_mtime_ns for path in unpacked}
    code, _, said = run(place, "--rebuild", "a", "--rebuild", "b", XDG_CACHE_HOME=str(user))
    assert code == 0, said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sorted((user / "dag" / "packages-unpacked").rglob("*.tar")) == unpacked


def test_repositories_of_the_makefile_are_asked_and_served_too(
    make: Make, origin: Origin, bootstrap: Path, tmp_path: Path
) -> None:
    url = serve(origin, bootstrap, "/makefile")
    (tmp_path / "nothing" / ARCH).mkdir(parents=True)
    empty = tmp_path / "nothing"
    (empty / ARCH / "APKINDEX.tar.gz").write_bytes(archive_of([]))
    place = make(a=definition("a"), b=definition("b", "a"))
    text = (place / "Makefile").read_text()
    more = f"MELANGE_OPTS += -r {url} --keyring-append={url}/bootstrap.rsa.pub -r /not/there\n"
    marker = "MELANGE_OPTS += ${MELANGE_EXTRA_OPTS}\n"
    assert marker in text
    (place / "Makefile").write_text(text.replace(marker, more + marker))
    named = serve(origin, empty, "/named")
    (place / "dag.toml").write_text(f'repository = ["{named}"]\n')
    cache = {"XDG_CACHE_HOME": str(tmp_path / "user")}
    code, out, said = run(place, "--dry-run", "--json", **cache)
    assert code == 0, said
    assert json.loads(out)["external"] == {}
    # Whatever is not signed by a key that is trusted is left to melange, which refuses it.
    assert f"melange will refuse -r {named}: {named}/{ARCH}/APKINDEX.tar.gz is not signed" in said
    assert "/not/there" not in said
    use(place, str(bootstrap), bootstrap / "bootstrap.rsa.pub")
    code, out, said = run(place, "--json", "-r", url, **cache)
    assert code == 0, said
    assert json.loads(out)["open"] == {}
    assert {one.request.header("user-agent") for one in origin.exchanges} == {"dag"}
