"""A bootstrap repository: Debian's compiler and libraries under the names that definitions use.

    python3 -m tests.real.repository DEFINITIONS NAME…

prints its directory. NAME… are the definitions that shall be built. Everything else that their
environments have is in the repository: an empty package with the name, the version and the
subpackages of its definition, so that `dag build -r` takes it for built. It needs packages that are
called `deb-…`, and these have what is in Debian's.

The repository and the packages that it is made of are kept in the cache, under names with a hash of
everything that they were made from.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path

from cluster import parts
from cluster.system import ClusterError, explained, locked, run, step
from dag.io.package.definitions import read_directory
from examples import apk
from examples.apk import Entry
from examples.bootstrap import ACCOUNTS
from tests.real import apt, convert, names
from tests.real.apt import Deb
from tests.real.convert import ARCH
from tests.real.outside import Outside, find_outside

KEY = "debian.rsa"
_BASE = "debian-base"


def repository(outside: Sequence[Outside]) -> Path:
    """Make the repository that has all this, and return its directory.

    That has `x86_64/*.apk`, their index, the public key (`debian.rsa.pub`), and in `debian.txt` the
    digests of the packages of Debian that it was made of.
    """
    debs = apt.fetch_packages(_wanted(outside))
    listed = "".join(f"{deb.sha256}  {deb.path.name}\n" for deb in debs)
    key = _key()
    made_of = json.dumps([_code(), listed, key.read_text(), [asdict(one) for one in outside]])
    made = apt.place() / f"repository-{_hash(made_of)}"
    with locked(apt.place() / "repository.lock"):
        if not made.exists():
            with (
                step(f"making a repository of {len(debs)} packages of Debian"),
                tempfile.TemporaryDirectory(dir=apt.place()) as temporary,
            ):
                place = Path(temporary) / "made"
                make(place, debs, outside, key)
                (place / "debian.txt").write_text(listed)
                place.rename(made)
    return made


def make(place: Path, debs: Sequence[Deb], outside: Iterable[Outside], key: Path) -> None:
    """Write a repository into the new directory `place`."""
    apks = place / ARCH
    apks.mkdir(parents=True)
    outside = list(outside)
    controls = {deb: convert.read_control(deb.path) for deb in debs}
    needs = convert.find_needs(controls.values())
    needed = _reachable(_wanted(outside), needs)
    with ThreadPoolExecutor(2) as pool:
        used = [deb for deb in debs if controls[deb].name in needed]
        kept = pool.map(lambda deb: _converted(deb, controls[deb], needs), used)
        for directory in kept:
            for package in directory.iterdir():
                (apks / package.name).hardlink_to(package)
    _write(apks, _BASE, "1-r0", _layout(), needs=[f"deb-{name}" for name in names.BASE])
    for one in outside:
        for name, debian in one.packages.items():
            below = [_BASE, *(f"deb-{deb}" for deb in debian)]
            entries = _applets(debs) if name == "busybox" else []
            provides = one.provides.get(name, ())
            _write(apks, name, one.version, entries, needs=below, provides=provides)
    apk.write_index(apks, key)
    shutil.copy(key.with_name(f"{KEY}.pub"), place)


def _wanted(outside: Iterable[Outside]) -> set[str]:
    """Return the packages of Debian that are asked for, without those that they need."""
    return {*names.BASE, *(d for one in outside for many in one.packages.values() for d in many)}


def _reachable(starts: Iterable[str], needs: Mapping[str, Iterable[str]]) -> set[str]:
    found, todo = set(), [*starts]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += needs.get(name, ())
    return found


def _converted(deb: Deb, control: convert.Control, needs: dict[str, list[str]]) -> Path:
    """Return a directory with the packages that are made of `deb`."""
    mine = needs[control.name]
    links = names.LINKS.get(control.name, {})
    made_of = json.dumps([_code(), deb.sha256, mine, links])
    kept = apt.place() / "converted" / _hash(made_of)
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
            place = Path(temporary) / "made"
            place.mkdir()
            for name, data in convert.convert(deb.path, control, mine).items():
                (place / name).write_bytes(data)
            place.rename(kept)
    return kept


def _layout() -> list[Entry]:
    folders = ("bin", "sbin", "lib", "lib64")
    entries = [Entry.link(folder, f"usr/{folder}") for folder in folders]
    entries += [
        Entry(path=f"etc/{name}", mode=0o644, data=text.encode()) for name, text in ACCOUNTS.items()
    ]
    return [*entries, Entry.directory("tmp", 0o1777)]


def _applets(debs: Iterable[Deb]) -> list[Entry]:
    """Return the list of links to /bin/busybox that apko makes where there is no program yet."""
    deb = next(deb.path for deb in debs if deb.path.name.startswith("busybox-static_"))
    with tempfile.TemporaryDirectory() as temporary:
        program = Path(temporary) / "busybox"
        (entry,) = (one for one in convert.read_entries(deb, {}) if one.path == "usr/bin/busybox")
        program.write_bytes(entry.data)
        program.chmod(0o755)
        listed = run(program, "--list-full").split()
    # As /bin is a link, /bin/x and /usr/bin/x are one.
    links = sorted({re.sub("^(usr/)?", "/usr/", line) for line in listed} - {"/usr/bin/busybox"})
    text = "".join(f"{link}\n" for link in links)
    return [Entry(path="etc/busybox-paths.d/busybox", mode=0o644, data=text.encode())]


def _write(
    apks: Path,
    name: str,
    version: str,
    entries: list[Entry],
    *,
    needs: Iterable[str],
    provides: Iterable[str] = (),
) -> None:
    data = apk.pack(
        name,
        version,
        entries,
        architecture=ARCH,
        description="made of Debian's packages",
        needs=needs,
        provides=provides,
    )
    (apks / f"{name}-{version}.apk").write_bytes(data)


def _key() -> Path:
    key = apt.place() / KEY
    with locked(apt.place() / "key.lock"):
        if not key.exists():
            subprocess.run(
                [parts.build("melange") / "melange", "keygen", key], check=True, capture_output=True
            )
    return key


@cache
def _code() -> str:
    files = [Path(module.__file__ or "") for module in (apk, convert)] + [Path(__file__)]
    return _hash("".join(file.read_text() for file in files))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main() -> None:
    """Print the directory of the repository for what the command line names.

    Raises ClusterError if Debian has nothing for some names; the message has all of them.
    """
    definitions = read_directory(Path(sys.argv[1]), arch=ARCH).packages
    outside, lacking = find_outside(definitions, sys.argv[2:])
    if lacking:
        raise ClusterError("\n".join(lacking))
    print(repository(outside))


if __name__ == "__main__":
    sys.exit(explained(main))
