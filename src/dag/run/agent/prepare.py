"""Lays out, in the volumes of a Job's pod, what one unit gets, before its build begins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from dag.core.build.scripts import MELANGE, bwrap_argument, script_file
from dag.core.decoding import Undecodable, decode
from dag.core.jobs.order import GivenPackage, UnitOrder, decode_order
from dag.core.limits import RECORD
from dag.core.package.apk import Apk, BrokenPackage
from dag.core.package.repositories import Repositories
from dag.core.store.publication import choose_result
from dag.core.store.records import Record
from dag.errors import InfrastructureError, words_of
from dag.io.agent.signals import make_pipe
from dag.io.agent.tree import copy_paths, copy_tree
from dag.io.files import read_bytes
from dag.io.package.prover import PackageReader
from dag.io.store.local import Store
from dag.report.terminal import say
from dag.report.words import count
from dag.run.agent.places import open_agent_store
from dag.run.build.serving import PackageServer

_PREPARED = "prepared.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPlaces:
    """Where the parts of a unit are in its pod."""

    store: str
    """Its path or its URL."""
    place: Path
    """Where the unit is built."""
    state: Path
    """A directory that the build cannot reach."""
    pipe: Path
    """The pipe that the build holds open."""


class PreparedUnit(Struct, frozen=True, kw_only=True):
    """What is known of a unit when its build begins; the agent leaves it for itself."""

    order: str
    given: tuple[Apk, ...] = ()
    """The packages of the store in its environment."""
    served: dict[str, str] = {}
    """The SHA-256 of each package of a repository that it gets, by name."""
    open: str = ""
    """Why melange may get other packages of repositories."""
    known: Record | None = None
    """The record of just what goes into it, which makes its build unnecessary."""


_DECODER = msgspec.json.Decoder(PreparedUnit)


def read_prepared(state: Path) -> PreparedUnit:
    """Return what `prepare` has left.

    Raises:
        InfrastructureError: it is not there.

    """
    try:
        return decode(_DECODER, read_bytes(state / _PREPARED, RECORD), limit=RECORD.most)
    except (OSError, Undecodable) as error:
        raise InfrastructureError(f"nothing is prepared here: {words_of(error)}") from error


def server_of(order: UnitOrder, state: Path) -> PackageServer:
    """Return what serves a unit the packages of repositories."""
    return PackageServer(
        repositories=Repositories(roots=order.roots),
        named=order.named,
        arch=order.platform,
        melange=MELANGE,
        public_key=order.public_key,
        place=state / "packages",
    )


def prepare(words: tuple[str, ...], places: UnitPlaces, bundle: Path, script: Path) -> None:
    """Lay out the workspace of a unit and what it gets, and write the script that builds it.

    Raises:
        WrongPackage: a repository has something else than its index says.
        InfrastructureError: a package is gone or damaged, or a volume cannot be written to.

    """
    os.umask(0o022)
    try:
        order = decode_order(words)
    except Undecodable as error:
        raise InfrastructureError(
            f"this agent cannot read what it is told: {error}",
            hint="is the image of --agent-image one of the same version of dag?",
        ) from error
    try:
        prepared = _prepare(order, "".join(words), places, bundle)
        if prepared.known is None:
            script.write_text(script_file([bwrap_argument(), *order.arguments]))
        else:
            script.write_text("exit 0\n")
        make_pipe(places.pipe)
        (places.state / _PREPARED).write_bytes(msgspec.json.encode(prepared))
    except OSError as error:
        where = error.filename2 or error.filename or places.place
        raise InfrastructureError(f"{where}: {error.strerror}") from error


def _prepare(order: UnitOrder, words: str, places: UnitPlaces, bundle: Path) -> PreparedUnit:
    store = open_agent_store(places.store, order.platform, places.state / "prepare")
    name = order.package.name
    workspace = places.place / "workspace"
    workspace.mkdir()
    if order.reuse and not order.witnessed and not order.open:
        known = choose_result(store.records_of(name, order.key), order.results)
        if known is not None:
            say(f"the store has {name} {known.version} of just these inputs: nothing is built")
            return PreparedUnit(order=words, known=known)
    copy_paths(bundle, workspace, order.paths)
    for path in order.copies:
        source, target = bundle / path, workspace / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            copy_tree(source, target)
        else:
            copy_paths(bundle, workspace, [path])
    repository = workspace / "packages" / order.arch
    repository.mkdir(parents=True)
    with PackageReader() as reader:
        given = tuple(_hand_out(store, one, repository, reader) for one in order.given)
    served = server_of(order, places.state).lay_out(
        order.package, order.served_packages(), places.place
    )
    say(
        f"{count(len(given), 'package')} of the store and {count(len(served.packages), 'package')}"
        f" of repositories are there for {name} {order.package.full_version}"
    )
    return PreparedUnit(order=words, given=given, served=dict(served.sha256), open=served.open)


def _hand_out(store: Store, one: GivenPackage, directory: Path, reader: PackageReader) -> Apk:
    """Copy a package of the store into a directory, and return what it says of itself."""
    target = directory / f"{one.name}-{one.version}.apk"
    store.blobs.fetch(one.digest.hex(), target, what=f"{one.name} {one.version}")
    try:
        with target.open("rb") as file:
            return reader.read(file.fileno()).apk
    except BrokenPackage as error:
        raise InfrastructureError(
            f"{one.name} {one.version} of the store cannot be read: {error}",
            hint="`dag store verify --repair` removes what is damaged; then build again",
        ) from error
