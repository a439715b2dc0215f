"""Which melange builds is asked of melange itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cluster import parts
from dag.io.package.melange import melange_version


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.installs
def test_melange_tells_its_release() -> None:
    melange = parts.build("melange") / "melange"
    assert melange_version(str(melange)) == "0.56.0"


@pytest.mark.parametrize("version", ["devel", "v١.٢"])
def test_what_is_no_release_is_known_by_its_file(tmp_path: Path, version: str) -> None:
    text = f"""echo '{{"gitVersion": "{version}", "platform": "x"}}'"""
    says = program(tmp_path / "melange", text)
    digest = hashlib.sha256(Path(says).read_bytes()).hexdigest()
    assert melange_version(says) == f"sha256:{digest}"


@pytest.mark.parametrize(
    "text",
    [
        "exit 1",
        "echo 0.56.0",
        "echo '{}'",
        """echo '{"gitVersion": "0.56.0"}'; exit 1""",
        """rm "$0"; echo '{"gitVersion": "devel"}'""",
        """printf '{"gitVersion": "0.56.0", "platform": "'; head -c 99999 /dev/zero | tr '\\0' x
        echo '"}'""",
    ],
)
def test_one_that_does_not_tell_is_unknown(tmp_path: Path, text: str) -> None:
    assert not melange_version(program(tmp_path / "melange", text))


def test_one_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    assert not melange_version(str(tmp_path / "melange"))
    assert not melange_version("")
    assert not melange_version(str(tmp_path / ("x" * 999)))
