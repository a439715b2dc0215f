"""A generated distribution of many small packages that really build, in a random graph."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from dag.core.package.apkindex import read_index
from examples.bootstrap import bootstrap

MAKEFILE = """\
ARCH := $(shell uname -m)
SOURCE_DATE_EPOCH ?= 0
MELANGE_DIR ?= ../melange
MELANGE ?= ${MELANGE_DIR}/melange
KEY ?= local-melange.rsa
REPO ?= $(shell pwd)/packages
CACHE_DIR ?= gs://nowhere/

MELANGE_OPTS += --repository-append ${REPO}
MELANGE_OPTS += --keyring-append ${KEY}.pub
MELANGE_OPTS += --signing-key ${KEY}
MELANGE_OPTS += --arch ${ARCH}
MELANGE_OPTS += --cache-dir ${CACHE_DIR}
MELANGE_OPTS += --runner bubblewrap
MELANGE_OPTS += ${MELANGE_EXTRA_OPTS}

all: ${KEY} .build-packages

${KEY}:
\t${MELANGE} keygen --key-size 2048 ${KEY}

define build-package
.build-packages: packages/$(1)
packages/$(1): packages/${ARCH}/$(1)-$(2).apk
packages/${ARCH}/$(1)-$(2).apk: ${KEY}
\tmkdir -p ./$(1)/
\tSOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} ${MELANGE} build $(1).yaml ${MELANGE_OPTS} --source-dir ./$(1)/
endef

"""

SETTINGS = """\
repository = ["bootstrap"]
keyring = ["bootstrap/bootstrap.rsa.pub"]
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A package that is to be generated."""

    name: str
    needs: tuple[str, ...]
    runtime: tuple[str, ...]
    has_data: bool
    """Whether a subpackage NAME-data carries the digest; the package then needs it at run time."""


def nodes(count: int, seed: int) -> list[Node]:
    """Return a random graph, wide in places and deep in others; the same seed gives the same graph."""
    random_ = random.Random(seed)
    made: list[Node] = []
    for number in range(count):
        near = made[-12:] if random_.random() < 0.5 else made
        needs = random_.sample(near, min(len(near), random_.choice((0, 1, 1, 2, 3))))
        runtime = random_.sample(made, min(len(made), random_.choice((0, 0, 0, 1))))
        made.append(
            Node(
                f"p{number:03}",
                tuple(sorted(node.name for node in needs)),
                tuple(sorted(node.name for node in runtime)),
                random_.random() < 0.2,
            )
        )
    return made


def generate(directory: Path, *, count: int, seed: int, work: str = "") -> list[Node]:
    """Write the distribution into the new `directory`; each build also runs the shell text `work`.

    Each package holds a digest of those of its needs, so a wrong or missing need shows in the
    contents of everything that depends on it.
    """
    directory.mkdir(parents=True)
    made = nodes(count, seed)
    rules = []
    for node in made:
        (directory / f"{node.name}.yaml").write_text(_definition(node, work))
        rules.append(f"$(eval $(call build-package,{node.name},1.{len(node.needs)}-r0))\n")
    (directory / "Makefile").write_text(MAKEFILE + "".join(rules) + "\n.build-packages:\n")
    (directory / "dag.toml").write_text(SETTINGS)
    bootstrap(directory / "bootstrap")
    return made


def _definition(node: Node, work: str) -> str:
    share = "/usr/share/torture"
    inputs = " ".join(f"{share}/{name}" for name in node.needs) or "/etc/passwd"
    runtime = [*node.runtime, *([f"{node.name}-data"] if node.has_data else [])]
    lines = [
        "package:",
        f"  name: {node.name}",
        f"  version: 1.{len(node.needs)}",
        "  epoch: 0",
        f"  description: Generated package {node.name}",
        "  copyright:",
        "    - license: Apache-2.0",
    ]
    if runtime:
        lines += ["  dependencies:", "    runtime:", *(f"      - {name}" for name in runtime)]
    lines += ["environment:", "  contents:", "    packages:", "      - busybox"]
    lines += [f"      - {name}" for name in node.needs]
    # All run-time dependencies of the needs must be there as well.
    there = "\n".join(f"      test -s {share}/{name}" for name in node.needs)
    lines += [
        "pipeline:",
        "  - runs: |",
        f'      mkdir -p "${{{{targets.destdir}}}}{share}"',
        *([there] if there else []),
        *(f"      {line}" for line in work.splitlines()),
        f'      {{ echo {node.name}; cat {inputs}; }} | sha256sum >"${{{{targets.destdir}}}}{share}/{node.name}"',
    ]
    if node.has_data:
        lines += [
            "subpackages:",
            f"  - name: {node.name}-data",
            "    pipeline:",
            "      - runs: |",
            f'          mkdir -p "${{{{targets.subpkgdir}}}}{share}"',
            f'          mv "${{{{targets.destdir}}}}{share}/{node.name}" "${{{{targets.subpkgdir}}}}{share}/{node.name}"',
        ]
    return "\n".join(lines) + "\n"


def contents(store: Path) -> dict[str, str]:
    """Return a digest of the contents of every package of a store, without its signatures.

    The installed size does not count: melange adds what directories take, which is another number
    on each kind of file system.
    """
    found = {}
    for apk in sorted((store / "x86_64").glob("*.apk")):
        digest = hashlib.sha256()
        for name, data in _members(apk):
            digest.update(f"{name} {len(data)}\n".encode() + data)
        found[apk.name] = digest.hexdigest()
    return found


def _members(apk: Path) -> list[tuple[str, bytes]]:
    members = []
    with (
        gzip.open(apk) as stream,
        tarfile.open(fileobj=stream, mode="r|", ignore_zeros=True) as tar,
    ):
        for member in tar:
            if member.name.startswith(".SIGN."):
                continue
            file = tar.extractfile(member) if member.isfile() else None
            data = file.read() if file else b""
            if member.name == ".PKGINFO":
                data = re.sub(rb"(?m)^size = .*$", b"", data)
            members.append((member.name, data))
    return members


def index(store: Path) -> list[str]:
    """Return the names of the files that a store's index lists, in their order."""
    with tarfile.open(store / "x86_64" / "APKINDEX.tar.gz", ignore_zeros=True) as tar:
        file = tar.extractfile("APKINDEX")
        assert file is not None
        return [f"{one.name}-{one.version}.apk" for one in read_index(file.read().decode())]
