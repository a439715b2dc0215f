"""Asks a melange of this machine who it is, because another one may build another package."""

from __future__ import annotations

import hashlib
import re
import subprocess
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

_SECONDS = 60
"""How long melange may take to answer; it takes some hundredths."""
_RELEASE = re.compile(r"v?\d+(\.\d+)+")


class _Version(Struct):
    gitVersion: str  # noqa: N815  # the name in melange's answer


@cache
def melange_version(melange: str) -> str:
    """Return the version of the melange in a file, asked once; empty if nobody knows.

    One that is no release has the SHA-256 of its file instead.
    """
    if not Path(melange).is_file():
        return ""
    try:
        done = subprocess.run(
            [melange, "version", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=_SECONDS,
            process_group=0,
        )
        version = msgspec.json.decode(done.stdout, type=_Version).gitVersion
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):
        return ""
    if _RELEASE.fullmatch(version):
        return version.removeprefix("v")
    with Path(melange).open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
