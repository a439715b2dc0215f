"""The Python of Debian as the root of an image: its packages, unpacked, and no script of them run.

So the same packages give the same files, every time and on every machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from cluster.system import run

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python of this process: byte code in an image on top is for one version."""
PACKAGES = (
    f"python{VERSION}-minimal",
    f"libpython{VERSION}-stdlib",
    "ca-certificates",
    "libstdc++6",
)
_MERGED = ("bin", "lib", "lib64", "sbin")
"""Directories that are links into /usr: https://wiki.debian.org/UsrMerge"""
_KEEPING = ("--keep-directory-symlink", "--no-same-owner", "--same-permissions")
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "var")


def recipe() -> bytes:
    """Return what the files depend on, besides the state of Debian's archive."""
    return Path(__file__).read_bytes() + VERSION.encode()


def unpack(root: Path) -> None:
    """Unpack Python and all that it needs into the empty directory `root`.

    Raises ClusterError if this Debian has no package of this Python.
    """
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    with tempfile.TemporaryDirectory(dir=root.parent) as temporary:
        for package in _download(Path(temporary)):
            archive = package.with_suffix(".tar")
            run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" >"$2"', "dag", package, archive)
            run("tar", "-C", root, *_KEEPING, "-xf", archive)
            archive.unlink()
    for name in _LEFT_OUT:
        run("rm", "-rf", root / name)
    (root / "usr/bin/python3").symlink_to(f"python{VERSION}")
    # What update-ca-certificates would write.
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle.write_bytes(b"".join(one.read_bytes() for one in certificates))


def _download(directory: Path) -> list[Path]:
    """Download the packages and what they need, as if nothing were installed."""
    status = directory / "status"
    status.touch()
    (directory / "partial").mkdir()
    options = {
        "Dir::State::status": status,
        "Dir::Cache::archives": directory,
        "Debug::NoLocking": "1",
        "APT::Install-Recommends": "0",
        "APT::Sandbox::User": "root",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    run("apt-get", *words, "--download-only", "-y", "-q", "install", *PACKAGES)
    return sorted(directory.glob("*.deb"))
