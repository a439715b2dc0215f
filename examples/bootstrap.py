"""A bootstrap repository: a few packages of Debian's programs, to build the first packages with.

`python3 -m examples.bootstrap [DIRECTORY]` writes it, by default to the place where the example
distribution expects it. The repository is kept in the cache, under a name with a hash of everything
that it was made from. The key that signs the index is in the cache, too, because no private key
belongs into a directory that gets bundled.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cluster import emulation, parts
from cluster.config import cache_directory
from cluster.debian import install
from cluster.system import explained, locked, run
from examples import apk
from examples.apk import Entry

HERE = Path(__file__).resolve().parent
DEFAULT = HERE / "distribution" / "bootstrap"
ARCH = "x86_64"
"""The architecture of this machine's programs. Others have less; see `add_foreign`."""
KEY = "bootstrap.rsa"

DEBIAN = (
    "bash",
    "bubblewrap",
    "busybox-static",
    "coreutils",
    "git",
    "gzip",
    "make",
    "openssl",
    "patch",
    "tar",
    "wget",
)
"""The Debian packages to install: those of the programs, and those that melange builds with."""

BUSYBOX = Path("/usr/bin/busybox")
_CORE = "/usr/lib/git-core"
PROGRAMS: dict[str, tuple[str, ...]] = {
    "bash": ("/usr/bin/bash",),
    "coreutils": ("/usr/bin/install",),  # busybox has the other programs
    "git": (
        "/usr/bin/git",
        *(f"{_CORE}/{name}" for name in ("git", "git-remote-http", "git-remote-https")),
        *(f"{_CORE}/{name}" for name in ("git-submodule", "git-sh-setup", "git-sh-i18n")),
    ),
    "gzip": ("/usr/bin/gzip",),
    "make": ("/usr/bin/make",),
    "patch": ("/usr/bin/patch",),
    "tar": ("/usr/bin/tar",),
    "wget": ("/usr/bin/wget",),
}
"""By package, the files that are taken from it. The libraries that these need are found by ldd."""

LINKS = {
    # As a shell, Debian's busybox prefers its own wget and tar, whatever PATH says.
    "bash": {"/usr/bin/sh": "bash"},
    "git": {"/usr/bin/git-upload-pack": "git", "/usr/bin/git-receive-pack": "git"},
    # busybox has these as well, but Debian's has a wget that crashes and a tar without gzip.
    "gzip": {"/usr/bin/gunzip": "gzip", "/usr/bin/zcat": "gzip"},
}

ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/home/build:/bin/sh\n",
    "group": "root:x:0:\nbuild:x:1000:\n",
}
"""melange runs the steps of a build as uid 1000, which must have a name."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that is to be made."""

    name: str
    version: str
    files: dict[str, Path]
    """By path in the package, the file whose content goes there."""
    links: dict[str, str]
    """By path in the package, the target of a link."""
    texts: dict[str, str] = field(default_factory=dict)
    """By path in the package, the text of a file."""
    directories: dict[str, int] = field(default_factory=dict)
    """By path in the package, the mode of an empty directory."""
    needs: tuple[str, ...] = ()


def bootstrap(directory: Path = DEFAULT) -> Path:
    """Write the repository into `directory`, in place of what is there, and return the directory.

    It then holds `x86_64/*.apk`, `x86_64/APKINDEX.tar.gz` and the public key. Debian's packages of
    the programs are installed if they are missing.
    """
    install(*DEBIAN)
    linked = {name: _linked(paths) for name, paths in PROGRAMS.items()}
    cache = cache_directory() / "examples"
    made = cache / f"bootstrap-{_digest(linked)}"
    with locked(cache / "bootstrap.lock"):
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                _make(_packages(linked), _key(cache), Path(temporary) / "made", ARCH)
                (Path(temporary) / "made").rename(made)
        # Tests in several processes have the same directory.
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(made, directory)
    return directory


def add_foreign(directory: Path, architecture: str) -> None:
    """Add Debian's busybox for `architecture` to a repository that `bootstrap` made.

    That is enough for steps of plain shell. The machine must run its programs (`emulation.up`).
    """
    busybox = emulation.programs(architecture, "busybox-static") / "bin" / "busybox"
    packages = [_base_files(), _busybox(busybox)]
    _make(packages, _key(cache_directory() / "examples"), directory, architecture)


def _packages(linked: dict[str, list[Path]]) -> list[Package]:
    """Return all packages of the repository, made of what is installed here."""
    real = [path for paths in PROGRAMS.values() for path in paths]
    real += [path for links in LINKS.values() for path in links]
    packages = [_base_files(), _busybox(BUSYBOX, real, ("bash", "coreutils"))]
    owners = _owners(sorted({path for paths in linked.values() for path in paths}))
    for name, paths in PROGRAMS.items():
        packages.append(
            Package(
                name=name,
                version=_version(name),
                files={path: Path(path) for path in paths},
                links=LINKS.get(name, {}),
                needs=("base-files", *sorted({owners[path] for path in linked[name]})),
            )
        )
    for owner in sorted(set(owners.values())):
        files = {str(path): path for path in owners if owners[path] == owner}
        packages.append(
            Package(
                name=owner, version=_version(owner), files=files, links={}, needs=("base-files",)
            )
        )
    return packages


def _base_files() -> Package:
    return Package(
        name="base-files",
        version=_version("base-files"),
        files={},
        links={"/bin": "usr/bin", "/sbin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"},
        texts={f"/etc/{name}": text for name, text in ACCOUNTS.items()},
        directories={"/tmp": 0o777},
    )


def _busybox(busybox: Path, real: Iterable[str] = (), needs: tuple[str, ...] = ()) -> Package:
    """Return the package of `busybox`, with a link for each applet that is not among `real`."""
    applets = set(run(busybox, "--list").split()) - {Path(path).name for path in real}
    return Package(
        name="busybox",
        version=_version("busybox-static"),
        files={"/usr/bin/busybox": busybox},
        links={f"/usr/bin/{applet}": "busybox" for applet in sorted(applets - {"busybox"})},
        needs=("base-files", *needs),
    )


def _linked(programs: tuple[str, ...]) -> list[Path]:
    """Return the shared libraries and the loader that `programs` need, as paths below /usr."""
    binaries = [program for program in programs if _is_binary(Path(program))]
    paths = re.findall(r"(?:=> |^\s*)(/\S+) \(0x", run("ldd", *binaries), re.MULTILINE)
    # Only the directory is resolved (/lib is a link), because the loader needs the library's name.
    return sorted({Path(path).parent.resolve() / Path(path).name for path in paths})


def _is_binary(program: Path) -> bool:
    with program.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _owners(libraries: list[Path]) -> dict[Path, str]:
    """Return the Debian package of each library, which dpkg may know by its old path in /lib."""
    asked = [str(path) for path in libraries] + [f"/{p.relative_to('/usr')}" for p in libraries]
    said = run("sh", "-c", 'dpkg -S "$@" 2>/dev/null || :', "dpkg", *asked)
    found = {
        Path(path): name for name, path in re.findall(r"^([^:\s]+)\S*: (/.*)$", said, re.MULTILINE)
    }
    return {
        path: found.get(path) or found[Path("/") / path.relative_to("/usr")] for path in libraries
    }


def _version(package: str) -> str:
    """Return the version of a Debian package, without what an apk's version can't have."""
    said = run("dpkg-query", "-W", "-f", "${Version}\n", package).splitlines()[0]
    found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", said)
    return found.group(1) if found else "0"


def _digest(linked: dict[str, list[Path]]) -> str:
    seen = hashlib.sha256(Path(__file__).read_bytes() + Path(apk.__file__).read_bytes())
    seen.update(f"{parts.build('melange')}".encode())
    files = {Path(path) for paths in PROGRAMS.values() for path in paths}
    for file in sorted(files.union(*linked.values(), [BUSYBOX])):
        stat = file.stat()
        seen.update(f"{file} {stat.st_size} {stat.st_mtime_ns}".encode())
    return seen.hexdigest()[:16]


def _key(cache: Path) -> Path:
    key = cache / KEY
    if not key.exists():
        run(parts.build("melange") / "melange", "keygen", key)
        key.chmod(0o600)
    return key


def _make(packages: list[Package], key: Path, target: Path, architecture: str) -> None:
    apks = target / architecture
    apks.mkdir(parents=True)
    for package in packages:
        data = apk.pack(
            package.name,
            f"{package.version}-r0",
            _entries(package),
            architecture=architecture,
            description=f"Debian's {package.name}, for building the first packages",
            needs=package.needs,
        )
        (apks / f"{package.name}-{package.version}-r0.apk").write_bytes(data)
    apk.write_index(apks, key)
    shutil.copy(key.with_name(f"{KEY}.pub"), target)


def _entries(package: Package) -> list[Entry]:
    def at(path: str, mode: int, data: bytes = b"") -> Entry:
        return Entry(path=path.lstrip("/"), mode=mode, data=data)

    files = [
        at(path, source.stat().st_mode & 0o777, source.read_bytes())
        for path, source in package.files.items()
    ]
    texts = [at(path, 0o644, text.encode()) for path, text in package.texts.items()]
    links = [Entry.link(path.lstrip("/"), target) for path, target in package.links.items()]
    folders = [
        Entry.directory(path.lstrip("/"), mode) for path, mode in package.directories.items()
    ]
    return [*files, *texts, *links, *folders]


if __name__ == "__main__":
    sys.exit(explained(lambda: print(bootstrap(*map(Path, sys.argv[1:2])))))
