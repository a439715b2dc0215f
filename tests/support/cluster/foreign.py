"""A package that tells on which machine it was built, and what packages have in them."""

from __future__ import annotations

import tarfile
from pathlib import Path

MACHINE = """\
package: {name: machine, version: 1, epoch: 0, description: What it was built on}
environment: {contents: {packages: [baselayout, busybox]}}
pipeline:
  - runs: |
      mkdir -p ${{targets.destdir}}/usr/share
      uname -m >${{targets.destdir}}/usr/share/machine
"""


def member(apk: Path, name: str) -> str:
    """Return a file of a package."""
    with tarfile.open(apk) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read().decode()
