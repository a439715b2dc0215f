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
            for digest, uri in _find_sources(missing):
                if not (directory / f"sha256:{digest}").exists():
                    _fetch(uri, directory / f"sha256:{digest}", digest)
    return {one for one in digests if (directory / f"sha256:{one}").exists()}


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


def _find_sources(digests: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield a digest and a URI for each file of a source package that has one of the digests."""
    asked = ("indextargets", "--format", "$(FILENAME) $(REPO_URI)", "Created-By: Sources")
    for index, root in map(str.split, run("apt-get", *_options(), *asked).splitlines()):
        for source in run(_HELPER, *_options(), "cat-file", index).split("\n\n"):
            for digest, name in re.findall(r"^ ([0-9a-f]{64}) \d+ (\S+)$", source, re.MULTILINE):
                if digest in digests:
                    folder = re.search(r"^Directory: (\S+)$", source, re.MULTILINE)
                    assert folder is not None
                    yield digest, f"{root.rstrip('/')}/{folder[1]}/{name}"


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
    for folder in ("lists/partial", "cache/archives/partial"):
        (place() / folder).mkdir(parents=True, exist_ok=True)
    trust = f"[signed-by={KEYRING}] {MIRROR}"
    (place() / "debian.list").write_text(
        f"deb {trust}/debian {SUITE} main\n"
        f"deb-src {trust}/debian {SUITE} main\n"
        f"deb-src {trust}/debian-security {SUITE}-security main\n"
    )
    with step(f"fetching the lists of Debian {SUITE}"):
        run("apt-get", *_options(), "update")
    (place() / "updated").touch()


def _options(archives: Path | None = None) -> list[str]:
    settings = {
        "Acquire::ForceHash": "SHA256",  # that is what it then prints
        "APT::Sandbox::User": "root",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "Debug::NoLocking": "1",
        "Dir::Cache": place() / "cache",
        "Dir::Cache::archives": archives or _archives(),
        "Dir::Etc::sourcelist": place() / "debian.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": place(),
        "Dir::State::status": "/dev/null",
    }
    return ["-q=2", *(f"--option={name}={value}" for name, value in settings.items())]
