"""`dag build` by a user without any rights, on a machine where the tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builds import run
from tests.torture.kills import environment

_USER = "64321"
_SCRIPT = """\
set -e
user=$1 home=$2
shift 2
# What root's home directory has is shown to everybody, to this process alone.
layers=$(mktemp -d)
mount -t tmpfs none "$layers"
mkdir "$layers/upper" "$layers/work"
mount -t overlay -o "lowerdir=$home,upperdir=$layers/upper,workdir=$layers/work" none "$home"
chmod 755 "$home"
exec setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all --bounding-set=-all "$@"
"""


def give_to_nobody(owned: Path) -> None:
    """Make everything below a directory the property of that user.

    The directory must not be one of pytest's: other runs take away the rights to those.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    for path in [owned, *owned.rglob("*")]:
        os.chown(path, int(_USER), int(_USER), follow_symlinks=False)


def run_as_nobody(place: Path, home: Path, *words: str) -> tuple[int, str, str]:
    """Run `dag build` in `place` as that user; return its exit code, stdout and stderr."""
    command = ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", _USER, str(Path.home())]
    done = subprocess.run(
        [*command, sys.executable, "-m", "dag", "build", *words],
        cwd=place,
        env={
            **environment(),
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_DATA_HOME": str(home / "data"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def bring(place: Path, base: Path) -> Path:
    """Copy a distribution to a directory that every user can get to."""
    shutil.copytree(place, base / "d")
    bootstrap = base / "bootstrap"
    (base / "d/dag.toml").write_text(
        f'repository = ["{bootstrap}"]\nkeyring = ["{bootstrap}/bootstrap.rsa.pub"]\n'
    )
    return base / "d"


def build_as(place: Path, home: Path, *words: str, as_nobody: bool) -> tuple[int, str]:
    """Run `dag build` as the user of the tests, or as one without any rights."""
    if as_nobody:
        code, _, said = run_as_nobody(place, home, *words)
    else:
        code, _, said = run(place, *words, HOME=str(home))
    return code, said
