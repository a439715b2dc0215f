"""Repositories that definitions name are asked like strangers, and each fault is said."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.build.served import choose_served
from dag.core.limits import Limit
from dag.core.package.apk import PublishedApk, index_archive
from dag.core.package.model import Named as Line
from dag.core.package.model import Package
from dag.core.package.repositories import NamedByUser, Repositories
from dag.errors import DagError
from dag.io.package.patience import ServerPatience
from dag.io.retries import RetryPolicy
from dag.run.graph import asking
from dag.run.graph.repositories import ask_repositories
from tests.support.apks import make_apk, read
from tests.support.archives import tar_header
from tests.support.faults import Answer, Origin
from tests.support.signing import SigningKey, signature_member

ARCH = Arch.parse("x86_64")
INDEX = "/x86_64/APKINDEX.tar.gz"


@dataclass
class World:
    """A repository on this machine, which the user named by another place of its host."""

    origin: Origin
    key: SigningKey
    users: SigningKey
    """The key that the user trusts."""
    directory: Path

    def index(self, *names: str) -> bytes:
        apks = [make_apk(self.directory / f"{name}.apk", name) for name in names]
        return index_archive([PublishedApk(read(apk), 9) for apk in apks])

    def serve(self, path: str, index: bytes) -> str:
        self.origin.put(f"{path}{INDEX}", index)
        return f"{self.origin.url}{path}"

    def ask(self, *packages: Package) -> Repositories:
        place = self.serve("/named", self.users.signed(self.index()))
        named = NamedByUser(repositories=[place], keys=[str(self.users.public)])
        return ask_repositories(packages, self.directory, ARCH, named)

    def package(self, name: str, *places: str, keys: tuple[str, ...] = ()) -> Package:
        file = f"{name}.yaml"
        return Package(
            name=name,
            version="1",
            epoch=0,
            file=file,
            line=2,
            repositories=tuple(Line(text, file, 5) for text in places),
            keyring=tuple(Line(text, file, 7) for text in keys),
        )

    @property
    def key_url(self) -> str:
        return self.origin.put(f"/keys/{self.key.public.name}", self.key.public.read_bytes())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    directory = tmp_path / "definitions"
    directory.mkdir()
    with Origin() as origin:
        yield World(origin, SigningKey(tmp_path), SigningKey(tmp_path, "users.rsa"), directory)


def names(found: Repositories, package: str) -> set[str]:
    return set(found.own[package].names) if package in found.own else set()


def test_a_repository_is_asked_once_for_all_that_name_it(world: World) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    keys = (world.key_url,)
    found = world.ask(
        world.package("a", place, keys=keys),
        world.package("b", place, keys=keys),
        world.package("c"),
    )
    assert found.words == ()
    assert names(found, "a") == {"gcc"}
    assert found.own["a"] is found.own["b"]
    assert "c" not in found.own
    assert "gcc" not in found.common.names
    assert world.origin.count(path=f"/r{INDEX}") == 1
    assert world.origin.count(path="/keys/") == 1


@pytest.mark.parametrize("kind", ["RSA", "RSA256"])
def test_a_signature_is_verified_by_the_keys_of_whoever_asks(world: World, kind: str) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc"), kind=kind))
    found = world.ask(
        world.package("good", place, keys=(world.key_url,)), world.package("bad", place)
    )
    assert names(found, "good") == {"gcc"}
    assert names(found, "bad") == set()
    assert found.unasked == {"bad": (place,)}
    (words,) = found.words
    assert words == (
        f"{place} is not used: {place}{INDEX} is signed with test.rsa.pub, which is no trusted"
        " key; --keyring names a key; named in bad.yaml:5"
    )


def test_keys_of_the_directory_and_of_the_user_are_trusted(world: World, tmp_path: Path) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    (world.directory / "keys").mkdir()
    (world.directory / "keys" / "test.rsa.pub").write_bytes(world.key.public.read_bytes())
    assert names(world.ask(world.package("a", place, keys=("keys/test.rsa.pub",))), "a") == {"gcc"}
    # A definition cannot have a file of the machine read.
    outside = str(world.key.public)
    (world.directory / "keys" / "test.rsa.pub").unlink()
    (world.directory / "keys" / "test.rsa.pub").symlink_to(world.key.public)
    for key in (outside, "keys/test.rsa.pub", "keys/../../test.rsa.pub"):
        assert names(world.ask(world.package("a", place, keys=(key,))), "a") == set()
    signed = world.key.signed(world.index())
    named = NamedByUser(repositories=[world.serve("/named", signed)], keys=[outside])
    found = ask_repositories([world.package("a", place)], world.directory, ARCH, named)
    assert names(found, "a") == {"gcc"}


def _unsigned(world: World) -> None:
    world.serve("/r", world.index("gcc"))


def _wrong(world: World) -> None:
    name = ".SIGN.RSA256.test.rsa.pub"
    world.serve("/r", signature_member(name, bytes(256)) + world.index("gcc"))


def _changed(world: World) -> None:
    index = world.index("gcc")
    signature = world.key.signed(index)[: -len(index)]
    world.serve("/r", signature + world.index("other"))


def _many(world: World) -> None:
    text = b"P:a\nV:1\n\n" * 1001
    tar = tar_header(b"0", len(text), "APKINDEX") + text + bytes(-len(text) % 512 + 1024)
    world.serve("/r", gzip.compress(tar, 1, mtime=0))


PATH = f"/r{INDEX}"
FAULTS: dict[str, tuple[Callable[[World], object], str]] = {
    "unsigned": (_unsigned, "is not signed"),
    "wrong": (_wrong, "has a wrong signature for test.rsa.pub"),
    "changed": (_changed, "has a wrong signature for test.rsa.pub"),
    "many": (_many, "more than 1,000 packages"),
    "gone": (lambda world: world.origin.on("GET", PATH, times=None).reset(), "cannot be read"),
    "not there": (lambda world: world.origin.on("GET", PATH).answer(404), "is not there"),
    "refused": (lambda world: world.origin.on("GET", PATH).answer(403), "answered with HTTP 403"),
    "endless": (
        lambda world: world.origin.endless(PATH),
        "more than 4 MiB, which is the limit of an APKINDEX",
    ),
    "bomb": (
        lambda world: world.serve("/r", gzip.compress(bytes(5 << 20), 1, mtime=0)),
        "more than 4 MiB, which is the limit of an APKINDEX",
    ),
    "junk": (lambda world: world.origin.put(PATH, b"junk"), "is not an index: it is not packed"),
    "page": (
        lambda world: world.origin.put(PATH, b"<!doctype html>\n<title>Log in</title>"),
        "is not an index: it is a web page",
    ),
    "redirect": (
        lambda world: world.origin.redirect(PATH, "http://169.254.169.254/latest/meta-data"),
        "169.254.169.254 is not on the internet, and only -r may name such a host",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_warning_that_names_who_asks(
    world: World, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.io.package.apkindex.PACKAGE_INDEX", Limit("an APKINDEX", 4 << 20))
    few = Limit("an APKINDEX", 1000, "packages")
    monkeypatch.setattr("dag.core.package.apkindex.LISTED_PACKAGES", few)
    quick = ServerPatience(retries=RetryPolicy(attempts=2, first=0.01))
    monkeypatch.setattr(asking, "_STRANGERS", quick)
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    arrange, why = FAULTS[fault]
    arrange(world)
    keys = (world.key_url,)
    sound = world.serve("/sound", world.key.signed(world.index("make")))
    found = world.ask(
        world.package("a", place, keys=keys),
        world.package("b", sound, place, keys=keys),
        world.package("c", sound, keys=keys),
    )
    (words,) = found.words
    assert why in words
    assert words.endswith("named in a.yaml:5, b.yaml:5")
    assert found.unasked == {"a": (place,), "b": (place,)}
    assert [names(found, one) for one in "abc"] == [set(), {"make"}, {"make"}]
    assert found.remarks({"gcc": ["a"]}) == {"gcc": f"{place} could not be asked"}
    assert found.remarks({"make": ["d"]}) == {"make": f"-r {sound} makes what it has known to all"}


def test_a_server_that_is_busy_once_changes_nothing_and_a_key_is_not_said_to_be_gone(
    world: World,
) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    world.origin.on("GET", PATH).answer(503)
    world.origin.on("GET", r"\.rsa\.pub").answer(503)
    found = world.ask(world.package("a", place, keys=(world.key_url,)))
    assert (found.words, found.unasked, names(found, "a")) == ((), {}, {"gcc"})
    world.origin.on("GET", r"\.rsa\.pub").answer(403)
    found = world.ask(world.package("a", place, keys=(world.key_url,)))
    assert f"the key {world.key_url} could not be fetched: HTTP 403" in found.words


def test_what_is_no_key_is_said(world: World) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    page = world.origin.put("/keys/test.rsa.pub", b"\n<HTML><body>Log in</body></HTML>")
    words = world.ask(world.package("a", place, keys=(page,))).words
    assert f"the key {page} is a web page, and counts for nothing" in words
    (world.directory / "test.rsa.pub").write_text("ssh-ed25519 AAAA\n")
    words = world.ask(world.package("a", place, keys=("test.rsa.pub",))).words
    assert "the key test.rsa.pub is no RSA key in PEM, and counts for nothing" in words
    world.users.public.write_text("")
    words = world.ask(world.package("a", place, keys=(world.key_url,))).words
    assert any(
        one.startswith(f"the key {world.users.public} is no RSA key in PEM") for one in words
    )


def test_what_melange_takes_unsigned_is_used(world: World) -> None:
    from msgspec.structs import replace

    place = world.serve("/r", world.index("gcc"))
    assert names(world.ask(world.package("a", place)), "a") == set()
    package = replace(world.package("a", place), ignores_signatures=True)
    assert names(world.ask(package), "a") == {"gcc"}


def test_an_index_that_has_not_changed_is_not_fetched_again(world: World) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    package = world.package("a", place, keys=(world.key_url,))
    path = f"/r{INDEX}"
    assert names(world.ask(package), "a") == {"gcc"}
    (first,) = world.origin.matching(path=path)
    etag = world.origin.url and first.request.header("if-none-match")
    assert etag is None

    def unchanged(request: object) -> Answer:
        return Answer.of(304)

    world.origin.handle(path, unchanged)
    assert names(world.ask(package), "a") == {"gcc"}
    _, second = world.origin.matching(path=path)
    assert second.request.header("if-none-match")
    # A changed one is taken as it is now, and so is one whose copy is damaged.
    world.serve("/r", world.key.signed(world.index("clang")))
    assert names(world.ask(package), "a") == {"clang"}
    (kept,) = [
        file
        for file in (world.directory.parent / "user" / "dag" / "indexes").iterdir()
        if b"/r/" in file.read_bytes().split(b"\n")[0]
    ]
    kept.write_bytes(kept.read_bytes()[:-5])
    assert names(world.ask(package), "a") == {"clang"}
    assert world.origin.matching(path=path)[-1].request.header("if-none-match") is None


def test_hosts_of_this_machine_are_asked_only_if_the_user_names_them(world: World) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    found = ask_repositories(
        [world.package("a", place, keys=(str(world.key.public),))],
        world.directory,
        ARCH,
        NamedByUser(keys=[str(world.key.public)]),
    )
    (words,) = found.words
    assert "127.0.0.1 is not on the internet, and only -r may name such a host" in words
    assert world.origin.count() == 0


def test_paths_are_read_in_the_directory_alone(world: World, tmp_path: Path) -> None:
    signed = world.key.signed(world.index("gcc"))
    for root in (world.directory / "boot", tmp_path / "outside", world.directory / "packages"):
        (root / "x86_64").mkdir(parents=True)
        (root / "x86_64" / "APKINDEX.tar.gz").write_bytes(signed)
    (world.directory / "link").symlink_to(tmp_path / "outside")
    keys = (world.key_url,)
    for inside in ("boot", "./boot", "@local ./boot"):
        found = world.ask(world.package("a", inside, keys=keys))
        assert (names(found, "a"), found.words) == ({"gcc"}, ()), inside
    for own in ("packages", "./packages", "nothing", "@local ./packages"):
        found = world.ask(world.package("a", own, keys=keys))
        assert (names(found, "a"), found.words) == (set(), ()), own
    machine = str(tmp_path / "outside")
    for outside in (machine, "../outside", f"@local {machine}", "link"):
        (words,) = world.ask(world.package("a", outside, keys=keys)).words
        assert "is not read: it is a path of the machine; -r names such ones" in words
        assert words.endswith("named in a.yaml:5")
    for odd in ("x" * 5000, "a\0b"):
        assert world.ask(world.package("a", odd, keys=(odd,))).words == ()
    (words,) = world.ask(world.package("a", "@local", keys=keys)).words
    assert words == "a.yaml:5 names '@local', which is no repository"


def test_what_a_tagged_repository_has_is_pinned_to_its_tag(world: World) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    found = world.ask(world.package("a", f"@edge {place}", keys=(world.key_url,)))
    (candidate,) = found.own["a"].candidates
    assert (candidate.name, candidate.pin, candidate.repository) == ("gcc", "edge", place)


def test_a_repository_with_and_without_a_tag_is_for_all_needs(world: World) -> None:
    place = world.serve("/r", world.key.signed(world.index("gcc")))
    app = world.package("app", place, f"@edge {place}", keys=(world.key_url,))
    found = world.ask(app).own["app"]
    assert [one.pin for one in found.candidates] == ["edge", ""]
    for need in ("gcc", "gcc@edge"):
        (served,) = choose_served([need], [], found).packages
        assert (served.name, served.repository) == ("gcc", place)


def test_a_tag_is_not_for_what_the_user_names(world: World) -> None:
    place = world.serve("/named", world.key.signed(world.index("gcc")))
    named = NamedByUser(repositories=[place])
    packages = [world.package("app", f"@edge {place}", keys=(world.key_url,))]
    found = ask_repositories(packages, world.directory, ARCH, named)
    assert [one.pin for one in found.own["app"].candidates] == ["", "edge"]


def test_what_the_user_names_must_be_there(world: World) -> None:
    with pytest.raises(DagError, match="is not there"):
        ask_repositories([], world.directory, ARCH, NamedByUser(repositories=[world.origin.url]))
    with pytest.raises(DagError, match="has no APKINDEX"):
        ask_repositories([], world.directory, ARCH, NamedByUser(repositories=["/nowhere"]))


def test_what_the_user_names_is_used_for_the_plan_and_not_served_unless_it_is_trusted(
    world: World,
) -> None:
    place = world.serve("/named", world.key.signed(world.index("gcc")))
    named = NamedByUser(repositories=[place])
    packages = [world.package("a"), world.package("b", keys=(world.key_url,))]
    found = ask_repositories(packages, world.directory, ARCH, named)
    assert found.common.names == {"gcc"}
    (words,) = found.words
    why = f"-r {place}: {place}{INDEX} is signed with test.rsa.pub, which is no trusted key"
    assert words == f"melange will refuse {why}; --keyring names a key"
    assert found.untrusted == {"a": why}
    outside = str(world.key.public)
    unread = world.package("a", keys=(outside,))
    (words,) = ask_repositories([unread], world.directory, ARCH, named).words
    told = f"{outside} is not read: it is a path of the machine; --keyring names a key"
    assert words == f"melange may refuse {why}; {told}"
    named = NamedByUser(repositories=[place], keys=[outside])
    found = ask_repositories(packages, world.directory, ARCH, named)
    assert (found.untrusted, found.words) == ({}, ())


def test_servers_that_take_their_time_do_not_take_all_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [world.serve(f"/r{number}", world.index("gcc")) for number in range(3)]
    packages = [world.package(f"p{number}", place) for number, place in enumerate(places)]
    with monkeypatch.context() as patched:
        patched.setattr(asking, "_STRANGERS", ServerPatience(silence=0.2))
        world.origin.on("GET", "/r0/").stall()
        words = world.ask(*packages).words
        assert any(f"{places[0]} could not be asked" in one and "in time" in one for one in words)
    monkeypatch.setattr(asking, "_SECONDS", -1.0)
    found = world.ask(*packages)
    assert found.unasked.keys() == {"p0", "p1", "p2"}
    assert all("the others have taken all the time" in one for one in found.words)
