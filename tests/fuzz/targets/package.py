"""Parsers of definitions, Makefiles, packages and their indexes."""

from __future__ import annotations

import io
from contextlib import suppress

from dag.core.limits import TooLarge
from dag.core.package import constraints
from dag.core.package.apk import BrokenPackage, describe, listed_packages, read_pkginfo
from dag.core.package.apkindex import BrokenIndex, read_index
from dag.core.package.compile import read_definition
from dag.core.package.makefile import included_patterns, read_makefile
from dag.core.package.melangecall import MelangeCalls
from dag.core.package.model import Named
from dag.core.package.nametext import names_in_text
from dag.core.package.pipelines import Table
from dag.core.package.refusals import read_refusal
from dag.core.package.repositories import read_line
from dag.core.package.rewriting import Unchangeable, replace_named
from dag.core.package.signature import PublicKey, read_public_key, read_signature
from dag.core.package.substitutions import Unresolvable, condition, lookup_in, substitute
from dag.core.package.transforms import transform
from dag.core.package.variables import read_variables
from dag.errors import DagError
from dag.io.package.apk import read_apk
from dag.io.package.apkindex import Index, index_text
from dag.io.package.differing import first_difference
from tests.fuzz.targets.common import ARCH, parts_of, target, text_of


@target
def definition(data: bytes) -> None:
    read_definition(data, "x.yaml", arch=ARCH, table=Table({"own": ("own.yaml", data)}))
    names_in_text(data, "x.yaml")


@target
def pipeline(data: bytes) -> None:
    user = b"package: {name: a, version: 1, epoch: 0}\npipeline: [{uses: own, with: {a: b}}]\n"
    read_definition(user, "x.yaml", arch=ARCH, table=Table({"own": ("own.yaml", data)}))


@target
def var_transforms(data: bytes) -> None:
    text, match, replace = parts_of(data, 3)
    with suppress(Unresolvable):
        transform(text, match, replace)


@target
def substitutions(data: bytes) -> None:
    lookup = lookup_in({"a": "${{b}}", "b": "'", "package.name": "x"})
    for work in (substitute, condition):
        with suppress(Unresolvable):
            work(text_of(data), lookup)


@target
def makefile(data: bytes) -> None:
    text = text_of(data)
    with suppress(DagError):
        read_makefile(text)
    included_patterns(text, str)


@target
def melange_calls(data: bytes) -> None:
    calls = MelangeCalls(text_of(data), {"ARCH": "x86_64"})
    calls.of("a", "1-r0")


@target
def dependencies(data: bytes) -> None:
    one, other = parts_of(data, 2)
    for text in (one, other):
        constraints.parse(text)
        constraints.version(text)
        constraints.rank(text)


@target
def pkginfo(data: bytes) -> None:
    with suppress(BrokenPackage):
        describe(read_pkginfo(text_of(data)), checksum="Q1", sha256="0" * 64, size=1)


@target
def apkindex(data: bytes) -> None:
    with suppress(BrokenIndex):
        read_index(text_of(data))
    listed_packages(text_of(data))


@target
def package(data: bytes) -> None:
    with suppress(BrokenPackage):
        read_apk(io.BytesIO(data))
    with suppress(BrokenPackage, TooLarge):
        assert first_difference(io.BytesIO(data), io.BytesIO(data)) == ""


@target
def index(data: bytes) -> None:
    """Read an APKINDEX.tar.gz as a server gave it, and judge its signature."""
    found = Index("it", "https://example.com/os", data)
    found.distrust({"a.rsa.pub": PublicKey((1 << 2048) + 1, 3)})
    with suppress(ValueError):
        index_text(data)


@target
def public_key(data: bytes) -> None:
    key = read_public_key(data)
    assert key is None or key.modulus.bit_length() <= 16384
    with suppress(ValueError):
        read_signature(text_of(data), data)


@target
def variables(data: bytes) -> None:
    read_variables(data, "common.vars")


@target
def named_repositories(data: bytes) -> None:
    """Replace the repositories and keys that a definition names."""
    repositories = [
        Named("https://example.com/os", "x.yaml", 1),
        Named("@local ./packages", "x.yaml", 2),
    ]
    with suppress(Unchangeable):
        replace_named(data, repositories, [Named("a.rsa.pub", "x.yaml", 3)], str.upper, str.upper)
    for line in text_of(data).splitlines():
        read_line(line, "x.yaml:1")


@target
def melange_refusal(data: bytes) -> None:
    for one in read_refusal("x.yaml", 1, text_of(data)):
        str(one).encode()
