"""The agent's image: dag itself on top of a Python image, which does in a pod all but the build.

It has two layers of its own: the wheels that dag needs, for each platform, and dag's own files, which
are the same for all. Nothing in them depends on the machine that made them.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dag.core.image.archive import Entry, File, file_of
from dag.core.image.bytecode import byte_code, byte_code_path
from dag.core.image.layers import canonical_json
from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

AGENT_ROOT = "agent"
"""The directory of the image that holds the Python packages."""
LABEL = "dag.agent"
"""The label of an image that is an agent's; its value names dag's own files in it."""
ENTRYPOINT = ("python3", "-P", "-m", "dag", "agent")
"""-P keeps the working directory, where a build may have written, from being searched for modules."""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The version of Python that this process runs on, and that the byte code is for."""

DEFAULT_BASES = {
    "3.11": "sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7",
    "3.12": "sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea",
    "3.13": "sha256:6771159cd4fa5d9bba1258caf0b82e6b73458c694d178ad97c5e925c2d0e1a91",
    "3.14": "sha256:b877e50bd90de10af8d82c57a022fc2e0dc731c5320d762a27986facfc3355c1",
}
"""The index of python:VERSION-slim for each version of Python: byte code is for one version only."""

WHEEL_PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
"""The architectures for which all wheels exist, and what uv calls their platforms."""
LEAST_GLIBC = (2, 28)
"""https://peps.python.org/pep-0600/"""

_FORMAT = 1
"""Counts up when the same inputs make another image."""
_RECORDS = frozenset(
    {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
)
"""Files of a `.dist-info` that tell how and where something was installed."""


def default_base() -> str:
    """Return the Python image on which the agent is by default.

    Raises:
        UsageError: none is known for this version of Python.

    """
    digest = DEFAULT_BASES.get(PYTHON)
    if digest is None:
        raise UsageError(
            f"no Python image is known for the Python {PYTHON} that dag runs on",
            hint=f"name one that has Python {PYTHON} with --bundle-base, or for `dag image` with --base,"
            f" or run dag on Python {' or '.join(DEFAULT_BASES)}",
        )
    return f"docker.io/library/python:{PYTHON}-slim@{digest}"


def is_kept(path: str) -> bool:
    """Return whether a file that uv has installed belongs into the image.

    Programs do not, as they begin with the path of this machine's Python; neither does what tells
    how the installation was made.
    """
    parts = path.split("/")
    if parts[0] == "bin" or parts[0].startswith(".") or "__pycache__" in parts:
        return False
    return not (parts[0].endswith(".dist-info") and parts[-1] in _RECORDS)


def with_byte_code(files: Iterable[File]) -> Iterator[Entry]:
    """Yield the files, and beside each module its byte code."""
    for file in files:
        yield file
        if file.path.endswith(".py"):
            code = byte_code(b"".join(file.read()), f"/{AGENT_ROOT}/{file.path}")
            if code is not None:
                yield file_of(byte_code_path(file.path), code)


def files_digest(files: Iterable[File]) -> str:
    """Return the SHA-256 of paths and contents, in hexadecimal digits."""
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda one: one.path):
        content = hashlib.sha256(b"".join(file.read())).hexdigest()
        whole.update(f"{content}  {file.path}\n".encode())
    return whole.hexdigest()


def wheels_key(lock: bytes, architecture: str) -> str:
    """Return what names the layer of the wheels, in hexadecimal digits."""
    return _hash(
        "wheels", _FORMAT, PYTHON, WHEEL_PLATFORMS[architecture], hashlib.sha256(lock).hexdigest()
    )


def agent_key(base: str, lock: bytes, own: str) -> str:
    """Return what names an agent's image, given its base by digest and `files_digest` of dag."""
    return _hash("agent", _FORMAT, PYTHON, base, hashlib.sha256(lock).hexdigest(), own)


def defaults(config: Mapping[str, Any], own: str) -> dict[str, object]:
    """Return the defaults of an agent's containers, given the config of the platform's base."""
    given = config.get("config") or {}
    ours = {"PYTHONPATH": f"/{AGENT_ROOT}", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    kept = [word for word in given.get("Env") or () if word.partition("=")[0] not in ours]
    return {
        "Entrypoint": list(ENTRYPOINT),
        "Cmd": [],
        "Env": [*kept, *(f"{name}={value}" for name, value in ours.items())],
        "Labels": {LABEL: own},
        "WorkingDir": "/",
    }


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What the files of an image tell about its Python and its C library."""

    python: str = ""
    """Its version, like 3.13; empty if there is none."""
    glibc: str = ""
    """Its version, like 2.36; empty if there is none."""
    musl: bool = False

    def check(self, image: str) -> None:
        """Refuse an image that could not run dag.

        Raises:
            UsageError: it could not; the message says why.

        """
        if not self.python:
            raise UsageError(
                f"{image} has no python3 in /usr/local/bin or /usr/bin",
                hint=f"name an image like python:{PYTHON}-slim",
            )
        if self.python != PYTHON:
            raise UsageError(
                f"{image} has Python {self.python}, and dag runs on {PYTHON}, so its byte code would"
                " not fit",
                hint=f"name an image that has Python {PYTHON}, or run dag on Python {self.python}",
            )
        least = ".".join(map(str, LEAST_GLIBC))
        if not self.glibc:
            found = "musl in the place of glibc" if self.musl else "no glibc"
            raise UsageError(
                f"{image} has {found}, and dag's wheels need glibc {least} or later",
                hint="python:VERSION-slim has it; python:VERSION-alpine has musl",
            )
        if tuple(map(int, self.glibc.split("."))) < LEAST_GLIBC:
            raise UsageError(
                f"{image} has glibc {self.glibc}, and dag's wheels need {least}",
                hint=f"name a newer one, like python:{PYTHON}-slim",
            )


class FactFinder:
    """Finds the facts of an image in the members of its layers, lowest layer first."""

    def __init__(self) -> None:
        self._pythons: dict[str, str] = {}
        self._glibc = ""
        self._musl = False

    def wants(self, name: str) -> bool:
        """Take note of a member by its name; return whether its content tells more."""
        name = name.removeprefix("./").lstrip("/")
        if match := re.fullmatch(r"((?:usr/(?:local/)?)?bin)/python(3\.\d+)", name):
            self._pythons[match[1]] = match[2]
        elif match := re.search(
            r"(?:^|/)lib(?:32|64)?/(?:[^/]+-linux-gnu/)?libc-(2\.\d+)\.so$", name
        ):
            self._glibc = match[1]  # before 2.34
        elif re.search(r"(?:^|/)lib/ld-musl-[^/]+\.so\.1$", name):
            self._musl = True
        return bool(re.search(r"(?:^|/)lib(?:64)?/(?:[^/]+-linux-gnu/)?libc\.so\.6$", name))

    def take(self, content: bytes) -> None:
        """Take note of the content of a C library."""
        if match := re.search(rb"GNU C Library [^\n]{0,200}version (2\.\d+)", content):
            self._glibc = match[1].decode()

    def facts(self) -> BaseFacts:
        """Return what was found; of several Pythons the one that the usual PATH finds first."""
        places = ("usr/local/bin", "usr/bin", "bin")
        python = next((self._pythons[one] for one in places if one in self._pythons), "")
        return BaseFacts(python, self._glibc, self._musl)


def _hash(*words: object) -> str:
    return hashlib.sha256(canonical_json(words)).hexdigest()
