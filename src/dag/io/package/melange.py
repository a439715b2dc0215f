"""Asks a melange of this machine who it is, because another one may build another package."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
from functools import cache
from pathlib import Path
from threading import Timer

import msgspec
from msgspec import Struct

from dag.core.decoding import Undecodable, decode
from dag.core.limits import MELANGE_VERSION

_SECONDS = 60
"""How long melange may take to answer; it takes some hundredths."""
_RELEASE = re.compile(r"v?\d+(\.\d+)+", re.ASCII)


class _Version(Struct):
    gitVersion: str  # noqa: N815  # the name in melange's answer


_ANSWER = msgspec.json.Decoder(_Version)


@cache
def melange_version(melange: str) -> str:
    """Return the version of the melange in a file, asked once; empty if nobody knows.

    One that is no release has the SHA-256 of its file instead.
    """
    try:
        if not Path(melange).is_file():
            return ""
        version = decode(_ANSWER, _ask(melange), limit=MELANGE_VERSION.most).gitVersion
        if _RELEASE.fullmatch(version):
            return version.removeprefix("v")
        with Path(melange).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (OSError, subprocess.SubprocessError, Undecodable):
        return ""


def _ask(melange: str) -> bytes:
    """Return what a melange says of its version, cut off where it is too much."""
    process = subprocess.Popen(
        [melange, "version", "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    alarm = Timer(_SECONDS, os.killpg, [process.pid, signal.SIGKILL])
    alarm.start()
    try:
        with process:
            said = process.stdout.read(MELANGE_VERSION.most + 1) if process.stdout else b""
    finally:
        alarm.cancel()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, melange)
    return said
