"""What was built, in use: programs run where nothing is installed but the packages they need."""

from __future__ import annotations

import gzip
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.real.convert import ARCH

C_LIBRARY = ("debian-base", "deb-libc6")
"""What every program needs, and what no definition here builds."""
TEXT = b"packages that nobody installed by hand\n" * 1000


class Root:
    """A root directory of the built packages that a program needs, and the C library."""

    def __init__(self, place: Path, repository: Path, packages: Path, names: Iterable[str]) -> None:
        """Unpack the packages called `names`, which are below `packages`, into `place`."""
        self.place = place
        place.mkdir(parents=True)
        for where, several in ((repository, C_LIBRARY), (packages, tuple(names))):
            for name in several:
                _unpack(_find(where / ARCH, name), place)

    def run(self, *command: str, given: bytes = b"") -> bytes:
        """Run a program with this as its root, and return what it writes to standard output."""
        words = ["bwrap", "--unshare-all", "--clearenv", "--die-with-parent"]
        words += ["--bind", str(self.place), "/", "--proc", "/proc", "--dev", "/dev"]
        done = subprocess.run([*words, *command], input=given, capture_output=True, check=False)
        assert done.returncode == 0, (command, done.stderr.decode())
        return done.stdout


def _find(directory: Path, name: str) -> Path:
    (path,) = directory.glob(f"{name}-[0-9]*.apk")
    return path


def _unpack(path: Path, place: Path) -> None:
    with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r|", ignore_zeros=True) as tar:
        for member in tar:
            if not member.name.startswith("."):
                tar.extract(member, place, filter="tar")


def use_zip(root: Root) -> None:
    """Pack a file with zip, and unpack it with Python."""
    (root.place / "file").write_bytes(TEXT)
    root.run("/usr/bin/zip", "-q", "packed.zip", "file")
    with zipfile.ZipFile(root.place / "packed.zip") as packed:
        assert packed.read("file") == TEXT
        assert packed.infolist()[0].compress_size < len(TEXT) // 10


def use_lz4(root: Root) -> None:
    """Pack a text with lz4, and unpack it."""
    packed = root.run("/usr/bin/lz4", "-c", given=TEXT)
    assert len(packed) < len(TEXT) // 10
    assert root.run("/usr/bin/lz4", "-dc", given=packed) == TEXT


def use_libgcrypt(root: Root) -> None:
    """Run a program that was linked with libgcrypt."""
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert root.run("/usr/bin/digest", given=b"abc").decode() == f"{abc}\n"


def use_scdoc(root: Root) -> None:
    """Make a man page with scdoc."""
    page = root.run("/usr/bin/scdoc", given=b"dag(1)\n\n# NAME\n\ndag - builds packages\n")
    assert b'.TH "dag" "1"' in page
    assert b".SH NAME" in page


USES: dict[Callable[[Root], None], tuple[str, ...]] = {
    use_zip: ("zip",),
    use_lz4: ("lz4", "liblz4-1"),
    use_libgcrypt: ("digest", "libgcrypt", "libgpg-error"),
    use_scdoc: ("scdoc",),
}
"""By what is tried, the built packages that it takes."""


def use(place: Path, repository: Path, packages: Path, built: Iterable[str]) -> list[str]:
    """Try everything that the packages `built` suffice for, and return what was tried."""
    there = set(built)
    tried = []
    for action, names in USES.items():
        if there.issuperset(names):
            action(Root(place / action.__name__, repository, packages, names))
            tried.append(action.__name__.removeprefix("use_"))
    return tried
