"""A bootstrap repository: a few apks made of Debian's programs, to build the first packages with.

`python3 -m examples.bootstrap [DIRECTORY]` writes it, by default where the example distribution
expects it. What was made is kept in the cache, under a name that hashes what it was made from; so
is the throwaway key that signs the index, because a directory that gets bundled is no place for
a private key.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cluster import parts
from cluster.config import cache_directory
from cluster.system import locked, run

HERE = Path(__file__).resolve().parent
DEFAULT = HERE / "distribution" / "bootstrap"
ARCH = "x86_64"
"""The programs are this machine's own, so there is nothing to make for another architecture."""
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
"""What has to be installed here: the programs themselves, and what melange builds in."""

_CORE = "/usr/lib/git-core"
PROGRAMS: dict[str, tuple[str, ...]] = {
    "bash": ("/usr/bin/bash",),
    "coreutils": ("/usr/bin/install",),  # Debian's busybox has everything else
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
"""Package → the files that matter of it. Libraries follow from what the programs are linked to."""

LINKS = {
    # Debian's busybox as a shell prefers its own wget and tar to the real ones, whatever PATH says.
    "bash": {"/usr/bin/sh": "bash"},
    "git": {"/usr/bin/git-upload-pack": "git", "/usr/bin/git-receive-pack": "git"},
    # busybox has these as well, but its wget crashes and its tar doesn't know gzip.
    "gzip": {"/usr/bin/gunzip": "gzip", "/usr/bin/zcat": "gzip"},
}

ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/home/build:/bin/sh\n",
    "group": "root:x:0:\nbuild:x:1000:\n",
}
"""melange runs the steps of a build as uid 1000 and wants it to have a name."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """One apk to be made."""

    name: str
    version: str
    files: dict[str, Path]
    """Path in the package → the file that goes there; links are followed."""
    links: dict[str, str]
    """Path in the package → what the link says."""
    needs: tuple[str, ...] = ()


def bootstrap(directory: Path = DEFAULT) -> Path:
    """Write the repository into `directory`, replacing what was there; return the directory.

    It then holds `x86_64/*.apk`, `x86_64/APKINDEX.tar.gz` and the public half of the key.
    """
    run(HERE.parent / "scripts" / "apt", *DEBIAN)
    linked = {name: _linked(paths) for name, paths in PROGRAMS.items()}
    cache = cache_directory() / "examples"
    made = cache / f"bootstrap-{_digest(linked)}"
    with locked(cache / "bootstrap.lock"):
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                _make(_packages(linked), _key(cache), Path(temporary) / "made")
                (Path(temporary) / "made").rename(made)
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(made, directory)
    return directory


def _packages(linked: dict[str, list[Path]]) -> list[Package]:
    """Everything that the repository is made of, from what is installed here."""
    links = {"/bin": "usr/bin", "/sbin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"}
    packages = [
        Package(name="base-files", version=_version("base-files"), files={}, links=links),
        _busybox(),
    ]
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


def _busybox() -> Package:
    real = [path for paths in PROGRAMS.values() for path in paths]
    real += [path for links in LINKS.values() for path in links]
    busybox = Path("/usr/bin/busybox")
    applets = set(run(busybox, "--list").split()) - {Path(path).name for path in real}
    return Package(
        name="busybox",
        version=_version("busybox-static"),
        files={"/usr/bin/busybox": busybox},
        links={f"/usr/bin/{applet}": "busybox" for applet in sorted(applets - {"busybox"})},
        needs=("base-files", "bash", "coreutils"),
    )


def _linked(programs: tuple[str, ...]) -> list[Path]:
    """The shared libraries and the loader that `programs` need, as paths below /usr."""
    binaries = [program for program in programs if _is_binary(Path(program))]
    paths = re.findall(r"(?:=> |^\s*)(/\S+) \(0x", run("ldd", *binaries), re.MULTILINE)
    # Only directories are resolved (/lib is a link): the loader looks for a library's own name.
    return sorted({Path(path).parent.resolve() / Path(path).name for path in paths})


def _is_binary(program: Path) -> bool:
    with program.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _owners(libraries: list[Path]) -> dict[Path, str]:
    """The Debian package of each library; dpkg may know it by its path before /usr was merged."""
    asked = [str(path) for path in libraries] + [f"/{p.relative_to('/usr')}" for p in libraries]
    said = run("sh", "-c", 'dpkg -S "$@" 2>/dev/null || :', "dpkg", *asked)
    found = {
        Path(path): name for name, path in re.findall(r"^([^:\s]+)\S*: (/.*)$", said, re.MULTILINE)
    }
    return {
        path: found.get(path) or found[Path("/") / path.relative_to("/usr")] for path in libraries
    }


def _version(package: str) -> str:
    """The version of a Debian package without what an apk's version can't have."""
    said = run("dpkg-query", "-W", "-f", "${Version}\n", package).splitlines()[0]
    found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", said)
    return found.group(1) if found else "0"


def _digest(linked: dict[str, list[Path]]) -> str:
    seen = hashlib.sha256(Path(__file__).read_bytes())
    seen.update(f"{parts.build('tools')} {parts.build('melange')}".encode())
    files = {Path(path) for paths in PROGRAMS.values() for path in paths}
    for file in sorted(files.union(*linked.values(), [Path("/usr/bin/busybox")])):
        stat = file.stat()
        seen.update(f"{file} {stat.st_size} {stat.st_mtime_ns}".encode())
    return seen.hexdigest()[:16]


def _key(cache: Path) -> Path:
    key = cache / KEY
    if not key.exists():
        run(parts.build("melange") / "melange", "keygen", key)
        key.chmod(0o600)
    return key


def _make(packages: list[Package], key: Path, target: Path) -> None:
    apks = target / ARCH
    apks.mkdir(parents=True)
    for package in packages:
        with tempfile.TemporaryDirectory() as tree:
            _fill(Path(tree), package)
            _pack(Path(tree), package, apks / f"{package.name}-{package.version}-r0.apk")
    index = apks / "APKINDEX.tar.gz"
    melange = parts.build("melange") / "melange"
    run(melange, "index", "-o", index, "--signing-key", key, *sorted(apks.glob("*.apk")))
    shutil.copy(key.with_name(f"{KEY}.pub"), target)


def _fill(tree: Path, package: Package) -> None:
    if package.name == "base-files":
        (tree / "etc").mkdir()
        for name, text in ACCOUNTS.items():
            (tree / "etc" / name).write_text(text)
        (tree / "tmp").mkdir(mode=0o777)
    for path, source in package.files.items():
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for link, text in package.links.items():
        target = tree / link.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(text)
    for entry in (tree, *tree.rglob("*")):
        os.utime(entry, (0, 0), follow_symlinks=False)


def _pack(tree: Path, package: Package, apk: Path) -> None:
    # One entry per top directory: a tree at / would get an entry without a name.
    contents = [
        {"src": str(top.readlink()), "dst": f"/{top.name}", "type": "symlink"}
        if top.is_symlink()
        else {"src": str(top), "dst": f"/{top.name}", "type": "tree"}
        for top in sorted(tree.iterdir())
    ]
    config = {
        "name": package.name,
        "arch": "amd64",
        "version": package.version,
        "version_schema": "none",
        "release": "0",
        "mtime": "1970-01-01T00:00:00Z",
        "description": f"Debian's {package.name}, for building the first packages",
        "depends": list(package.needs),
        "contents": contents,
    }
    # nfpm reads YAML, and JSON is YAML.
    description = tree.with_suffix(".json")
    description.write_text(json.dumps(config))
    try:
        nfpm = parts.build("tools") / "nfpm"
        run(nfpm, "package", "-f", description, "-p", "apk", "-t", apk)
    finally:
        description.unlink()


if __name__ == "__main__":
    print(bootstrap(*map(Path, sys.argv[1:2])))
