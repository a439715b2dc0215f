"""A bare machine: a minimal Debian beside this one, which shares its kernel and its network.

It has its own root directory, processes and mounts. It has the network of this machine, so that apt
and pip work there as they do here. Therefore only one can run at a time, and no cluster can run
here meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import parts
from cluster.config import cache_directory
from cluster.debian import install
from cluster.images import SUITE
from cluster.system import ClusterError, installed, locked, run, step

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("ca-certificates", "git", "make", "python3")
"""The packages that a newcomer has: enough to clone the repository and run the first command."""
HOME = Path("/root")

_INIT = Path(__file__).with_name("machine.sh")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# These files say how this machine reaches packages and names. Those that exist are copied for each
# run, and kept nowhere.
_NAMES = ("/etc/hosts", "/etc/resolv.conf")
_NETWORK = (
    "/etc/apt/apt.conf",
    "/etc/apt/apt.conf.d",
    "/etc/pip.conf",
    "/etc/ssl/certs",
    "/usr/local/share/ca-certificates",
)
_SOURCES = (
    *(f"/etc/apt/{name}" for name in ("auth.conf", "auth.conf.d", "keyrings", "preferences.d")),
    *(f"/etc/apt/{name}" for name in ("sources.list", "sources.list.d", "trusted.gpg.d")),
    "/usr/share/keyrings",
)
_VARIABLES = ("pip_", "http_proxy", "https_proxy", "no_proxy", "all_proxy")
"""The beginnings of the names of variables that say the same."""


class Machine:
    """A machine that is switched on. `root` is its root directory, as this machine sees it."""

    def __init__(self, root: Path, init: subprocess.Popen[bytes]) -> None:
        self.root = root
        self._init = init

    def run(self, script: str, *, detached: bool = False) -> int:
        """Run a bash script in the machine, with this terminal, and return its exit code.

        A detached script does not receive the Ctrl-C of this terminal.
        """
        namespaces = Path(f"/proc/{self._init.pid}/ns")
        enter = ["nsenter", f"--mount={namespaces}/mnt", f"--pid={namespaces}/pid_for_children"]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.lower().startswith(_VARIABLES) and self._has(value)
        }
        return subprocess.run(
            [installed(enter[0]), *enter[1:], "bash", "-c", script],
            env={**environment, "HOME": str(HOME), "PATH": _PATH, "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            start_new_session=detached,
            check=False,
        ).returncode

    def _has(self, value: str) -> bool:
        """Return whether a variable's value is valid in the machine, which lacks this one's paths."""
        return not value.startswith("/") or (self.root / value.removeprefix("/")).exists()


@contextlib.contextmanager
def bare_machine() -> Iterator[Machine]:
    """Switch on a fresh machine that sees this machine's Go parts; switch it off in every case."""
    install("debootstrap")
    archive = _archive()
    built = [parts.build(name).parent for name in parts.PREPARED]
    root = cache_directory() / "bare" / "machine"
    _remove(root)  # left by a run that was killed
    root.mkdir()
    try:
        run("tar", "-C", root, "-xpf", archive)
        _connect(root)
        place = HOME / ".cache" / "dag" / "parts"
        with switched_on(root, place, built) as machine:
            yield machine
    finally:
        _remove(root)


@contextlib.contextmanager
def switched_on(root: Path, place: Path, shown: list[Path]) -> Iterator[Machine]:
    """Switch on what is in `root`, where each directory of `shown` is seen in its place, read-only."""
    namespaces = ("--mount", "--pid", "--fork", "--propagation=private")
    with subprocess.Popen(
        ["unshare", *namespaces, "bash", _INIT, root, place, *shown],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is not meant for this process
    ) as init:
        assert init.stdin
        assert init.stdout
        try:
            if init.stdout.readline() != b"on\n":
                raise ClusterError("the bare machine does not start, for the reason above")
            yield Machine(root, init)
        finally:
            init.stdin.close()
            init.wait()  # when this process ends, the kernel ends all others of the machine


def _archive() -> Path:
    """Return the root directory of a bare machine as a tar file, which is made only once."""
    recipe = ("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE)
    digest = hashlib.sha256(" ".join(recipe).encode()).hexdigest()[:16]
    archive = cache_directory() / "bare" / f"{digest}.tar"
    with locked(archive.with_suffix(".lock")):
        if not archive.exists():
            with (
                step(f"making a bare Debian with {', '.join(PACKAGES)}"),
                tempfile.TemporaryDirectory(dir=archive.parent) as temporary,
            ):
                root, partial = Path(temporary) / "root", Path(temporary) / "tar"
                run(*recipe, root)
                run("tar", "-C", root, "--exclude=*.deb", "--numeric-owner", "-cf", partial, ".")
                partial.rename(archive)
    return archive


def _connect(root: Path) -> None:
    """Copy the files into `root` that say how this machine reaches packages and names."""
    names: tuple[str, ...] = _NETWORK
    if platform.freedesktop_os_release().get("VERSION_CODENAME") == SUITE:
        names += _SOURCES  # otherwise it keeps those that debootstrap wrote
    copy = ("cp", "--archive", "--parents", "--remove-destination", f"--target-directory={root}")
    run(*copy, "--dereference", *_NAMES)
    run(*copy, *(name for name in names if Path(name).exists()))
    for name in (".config/pip/pip.conf", ".pip/pip.conf"):
        file, target = Path.home() / name, root / HOME.relative_to("/") / name
        if file.exists():
            target.parent.mkdir(parents=True)
            target.write_bytes(file.read_bytes())


def _remove(root: Path) -> None:
    # Nothing is mounted there any more. If that were wrong, what is mounted must not be deleted.
    run("rm", "-rf", "--one-file-system", root)
