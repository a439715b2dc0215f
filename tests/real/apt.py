"""Debian's packages and sources, fetched by apt with a state of its own.

Neither the packages that are installed on this machine nor its lists of packages change. All
of it is of one suite, so that it is the same on every machine.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cluster.config import cache_directory
from cluster.images import SUITE
from cluster.system import ClusterError, locked, run, step

MIRROR = "http://deb.debian.org"
OTHER_SUITES = ("trixie", "bullseye")
"""The suites whose source packages are looked into for what those of `SUITE` do not have."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_HELPER = "/usr/lib/apt/apt-helper"
_URI = re.compile(r"^'(\S+)' (\S+) \d+ SHA256:([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Deb:
    """A binary package of Debian, in a file."""

    path: Path
    sha256: str


def place() -> Path:
    """Return the directory in the cache for everything that is Debian's."""
    return cache_directory() / "debian"


@cache
def known_packages() -> frozenset[str]:
    """Return the names of all packages of Debian."""
    with _state():
        return frozenset(run("apt-cache", *_options(), "pkgnames").split())


def fetch_packages(names: Collection[str]) -> list[Deb]:
    """Return what apt would install on an empty machine for `names`, in the order of the files.

    Raises ClusterError with the message of apt.
    """
    with _state():
        try:
            return _fetch_packages(sorted(names))
        except ClusterError:
            # The lists may be older than the mirror, which keeps no package that was replaced.
            _update()
            return _fetch_packages(sorted(names))


def fetch_sources(digests: Collection[str], directory: Path) -> set[str]:
    """Fetch the files with these SHA-256 from Debian's source packages; return which are there now.

    A file is called `sha256:HEX`, as in the cache of `dag`. A file of Debian that has the digest
    which a `fetch` step expects is that source, whatever Debian calls it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    missing = {one for one in digests if not (directory / f"sha256:{one}").exists()}
    if missing:
        with _state(), step(f"looking for {len(missing)} sources in Debian's source packages"):
            _fetch_found(missing, directory, place())
            if missing := {one for one in missing if not (directory / f"sha256:{one}").exists()}:
                _fetch_found(missing, directory, other_suites())
    return {one for one in digests if (directory / f"sha256:{one}").exists()}


def other_suites() -> Path:
    """Return the state of apt that has the lists of `OTHER_SUITES`, fetched if it has none."""
    state = place() / "other-suites"
    if not (state / "updated").exists():
        _fetch_lists(state, *(("deb-src", "debian", suite) for suite in OTHER_SUITES))
    return state


def _fetch_found(digests: Collection[str], directory: Path, state: Path) -> None:
    """Fetch those of the sources that the lists of a state of apt have."""
    for digest, uri in _find_sources(digests, state):
        if not (directory / f"sha256:{digest}").exists():
            _fetch(uri, directory / f"sha256:{digest}", digest)


def _fetch(uri: str, target: Path, digest: str) -> None:
    """Fetch a file, whose digest apt verifies; leave it out if the mirror does not have it."""
    part = target.with_name(f"{target.name}.part")
    try:
        run(_HELPER, *_options(), "download-file", uri, part, f"SHA256:{digest}")
    except ClusterError as error:
        if "404" not in str(error):
            raise
    else:
        part.rename(target)


def _find_sources(digests: Collection[str], state: Path) -> Iterator[tuple[str, str]]:
    """Yield a digest and a URI for each file of a source package that has one of the digests."""
    for root, text in source_lists(state):
        for source in text.split("\n\n"):
            for digest, name in re.findall(r"^ ([0-9a-f]{64}) \d+ (\S+)$", source, re.MULTILINE):
                if digest in digests:
                    folder = re.search(r"^Directory: (\S+)$", source, re.MULTILINE)
                    assert folder is not None
                    yield digest, f"{root.rstrip('/')}/{folder[1]}/{name}"


def source_lists(state: Path) -> Iterator[tuple[str, str]]:
    """Yield the URI of a repository and its list of source packages, for each that a state has."""
    asked = ("indextargets", "--format", "$(FILENAME) $(REPO_URI)", "Created-By: Sources")
    for index, root in map(str.split, run("apt-get", *_options(state=state), *asked).splitlines()):
        yield root, run(_HELPER, *_options(state=state), "cat-file", index)


def _fetch_packages(names: list[str]) -> list[Deb]:
    wanted = ["--assume-yes", "--no-install-recommends", "install", *names]
    with tempfile.TemporaryDirectory() as empty:
        # apt names only what it does not have yet.
        archives = Path(empty)
        (archives / "partial").mkdir()
        said = run("apt-get", *_options(archives), "--print-uris", *wanted)
    debs = [Deb(path=_archives() / file, sha256=digest) for _, file, digest in _URI.findall(said)]
    if not all(deb.path.exists() for deb in debs):
        with step(f"fetching {len(debs)} packages of Debian"):
            run("apt-get", *_options(), "--download-only", *wanted)
    return sorted(debs, key=lambda deb: deb.path.name)


def _archives() -> Path:
    return place() / "cache" / "archives"


@contextlib.contextmanager
def _state() -> Iterator[None]:
    """Hold the lock of apt's state; the lists are fetched if there are none."""
    with locked(place() / "apt.lock"):
        if not (place() / "updated").exists():
            _update()
        yield


def _update() -> None:
    ours = (("deb", "debian", SUITE), ("deb-src", "debian", SUITE))
    _fetch_lists(place(), *ours, ("deb-src", "debian-security", f"{SUITE}-security"))


def _fetch_lists(state: Path, *wanted: tuple[str, str, str]) -> None:
    """Fetch lists into a state of apt: each is of a kind, a directory of the mirror, and a suite."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "debian.list").write_text(
        "".join(
            f"{kind} [signed-by={KEYRING}] {MIRROR}/{directory} {suite} main\n"
            for kind, directory, suite in wanted
        )
    )
    suites = sorted({suite for _, _, suite in wanted})
    with step(f"fetching the lists of Debian {', '.join(suites)}"):
        run("apt-get", *_options(state=state), "update")
    (state / "updated").touch()


def _options(archives: Path | None = None, state: Path | None = None) -> list[str]:
    state = state or place()
    settings = {
        "Acquire::ForceHash": "SHA256",  # that is what it then prints
        "APT::Sandbox::User": "root",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "Debug::NoLocking": "1",
        "Dir::Cache": state / "cache",
        "Dir::Cache::archives": archives or _archives(),
        "Dir::Etc::sourcelist": state / "debian.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": state,
        "Dir::State::status": "/dev/null",
    }
    return ["-q=2", *(f"--option={name}={value}" for name, value in settings.items())]
