"""What the agent of a Job is told: one unit, with everything that goes into it by digest.

It travels in the arguments of one container, so it is small: each object of a Job is kept twice in
etcd, and a container takes 128 KiB in one argument.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Struct

from dag.core.arch import Arch, apk_name
from dag.core.build.served import ServedPackages
from dag.core.jobs.packing import pack_words, unpack_object
from dag.core.limits import UNIT_ORDER
from dag.core.package.apk import Digest, PathPart
from dag.core.package.apkindex import IndexEntry
from dag.core.package.model import Package
from dag.core.store.records import Inputs, RepositoryPackage


class GivenPackage(Struct, frozen=True, array_like=True):
    """A package of the store in an environment."""

    name: PathPart
    version: PathPart
    digest: bytes
    """Its SHA-256."""


class ServedPackage(Struct, frozen=True, array_like=True):
    """A package of a repository in an environment."""

    name: PathPart
    version: PathPart
    checksum: str
    repository: int
    """Its place among the repositories of the order."""
    stanza: str
    """Its lines in the repository's index."""


class UnitOrder(Struct, frozen=True, array_like=True, kw_only=True):
    """One attempt at a unit."""

    run: str
    attempt: int
    arch: str
    package: Package
    """The definition, without what only planning needs."""
    paths: tuple[str, ...]
    """What of the bundle's directory is in the workspace."""
    copies: tuple[str, ...]
    """Keys and repositories of the bundle's directory that are there beside these."""
    given: tuple[GivenPackage, ...]
    served: tuple[ServedPackage, ...]
    repositories: tuple[str, ...]
    """Where packages of repositories are: URLs, or paths in the agent's image."""
    named: dict[str, str]
    """The repositories that the user names: as melange gets each → its URL or path."""
    roots: dict[str, str]
    """A repository, as it is named → as what it lists names it."""
    public_key: str
    """The name, in the workspace, of the key that signs what is built."""
    own: Digest
    """The hash of the unit's own inputs."""
    dropped: tuple[str, ...]
    open: str
    melange: str
    """The melange that builds, as the unit's key has it; empty if nobody knows."""
    defined: tuple[str, ...]
    """Names that packages of the environment or of the unit give, and that a definition gives."""
    fingerprint: str
    epoch: int
    memory: int
    arguments: tuple[str, ...]
    """The arguments of the build script with the targets, but for the text of the bwrap."""
    reuse: bool
    """Whether a record of just what goes into the unit makes its build unnecessary."""
    results: tuple[str, ...] = ()
    """Which of several such records does, by their results, the best one first: see `choose_result`."""
    witnessed: bool = False
    """Whether only what this attempt itself builds counts: whoever drives attests that, and anybody may have
    written what the store has."""

    def __post_init__(self) -> None:
        """Refuse what no client would order, also where it is read.

        Raises:
            ValueError: the architecture is none, or a package is of a repository that is not named.

        """
        if apk_name(self.arch) is None:
            raise ValueError("its architecture is none")
        if any(not 0 <= one.repository < len(self.repositories) for one in self.served):
            raise ValueError("a package is of a repository that it does not name")

    @property
    def key(self) -> str:
        """Return the unit's key."""
        return self.inputs.key

    @property
    def inputs(self) -> Inputs:
        """Return what goes into the unit, as its record has it."""
        return Inputs(
            own=self.own,
            environment={one.name: one.digest.hex() for one in self.given},
            repository=tuple(
                RepositoryPackage(one.name, one.version, one.checksum) for one in self.served
            ),
            dropped=self.dropped,
            open=self.open,
            melange=self.melange or UNSET,
        )

    @property
    def platform(self) -> Arch:
        """Return the architecture."""
        return Arch.parse(self.arch)

    def served_packages(self) -> ServedPackages:
        """Return the packages of repositories, as who serves them wants them."""
        entries = (
            IndexEntry(
                one.name,
                one.version,
                origin="",
                depends=(),
                provides=(),
                checksum=one.checksum,
                repository=self.repositories[one.repository],
                stanza=one.stanza,
            )
            for one in self.served
        )
        return ServedPackages(tuple(entries), open=self.open)


def bare_package(package: Package) -> Package:
    """Return a definition without what only planning needs."""
    return msgspec.structs.replace(
        package,
        left_out=(),
        environment=(),
        runtime=(),
        provides=(),
        sources=(),
        pipelines=(),
        warnings=(),
        subpackages=tuple(
            one._replace(runtime=(), provides=(), file="", line=0) for one in package.subpackages
        ),
    )


_ORDER = msgspec.msgpack.Decoder(UnitOrder)
_TEXTS = msgspec.msgpack.Decoder(tuple[str, ...])


def encode_order(order: UnitOrder) -> list[str]:
    """Return an order as words for the arguments of a container."""
    return pack_words(msgspec.msgpack.encode(order))


def decode_order(words: Iterable[str]) -> UnitOrder:
    """Return the order that `encode_order` has written.

    Raises:
        Undecodable: it is something else.

    """
    return unpack_object(_ORDER, words, UNIT_ORDER)


def encode_texts(texts: Iterable[str]) -> list[str]:
    """Return a list of texts as words for the arguments of a container."""
    return pack_words(msgspec.msgpack.encode(tuple(texts)))


def decode_texts(words: Iterable[str]) -> tuple[str, ...]:
    """Return the texts that `encode_texts` has written.

    Raises:
        Undecodable: it is something else.

    """
    return unpack_object(_TEXTS, words, UNIT_ORDER)
