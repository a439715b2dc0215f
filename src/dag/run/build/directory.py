"""What a build takes from the directory of the definitions and from the repositories that it names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.directoryfacts import DirectoryFacts
from dag.core.build.options import BuildOptions
from dag.core.build.plan import BuildRequest
from dag.core.graph.graph import Graph
from dag.core.image.archive import Entry, file_of
from dag.core.limits import PIPELINE
from dag.core.package.directory import Definitions
from dag.core.package.makefile import Makefile
from dag.core.package.model import Package
from dag.core.package.problems import FileProblem
from dag.core.package.repositories import NamedByUser, Repositories
from dag.io.files import read_bytes
from dag.io.image.tree import definitions_tree
from dag.io.package.compiling import CompileCheck
from dag.io.package.keypairs import public_half
from dag.io.store import ownkey
from dag.io.store.local import Store
from dag.run.announcing import announced
from dag.run.build.places import linked_paths, named_places
from dag.run.build.signing import given_key
from dag.run.build.tools import melange_here
from dag.run.graph.repositories import ask_repositories


def find_entries(
    options: BuildOptions, found: Definitions, store: Path, say: Callable[[str], None]
) -> list[Entry]:
    """Return the files of the directory that units may get, and the pipelines outside of it.

    These have absolute paths.

    Raises:
        UsageError: a file cannot be read, or a repository that the flags name is not there.

    """
    directory = Path(options.directory)
    tree = definitions_tree(directory)
    for note in tree.notes() if options.verbose else ():
        say(note)
    # A store inside of the directory is no part of what is built. Repositories and keyrings
    # there are linked into each workspace, whichever package they seem to belong to.
    apart = [os.path.relpath(store, directory.resolve()), *linked_paths(options, store)]
    prefixes = tuple(f"{path}/" for path in apart)
    entries = [e for e in tree.entries if not f"{e.path}/".startswith(prefixes)]
    outside = {one for paths in found.inputs.values() for one in paths if one.startswith("/")}
    return entries + [file_of(one, read_bytes(Path(one), PIPELINE)) for one in sorted(outside)]


def ask_all_repositories(
    options: BuildOptions, found: Definitions, store: Store, makefile: Makefile
) -> Repositories:
    """Ask the repositories that flags and definitions name.

    Raises:
        UsageError: one that a flag names has no index, or a broken one.
        InfrastructureError: the server of such a one does not answer as it should.

    """
    directory = Path(options.directory)
    given = given_key(options.key_file)
    made = store.state / "key" / f"{ownkey.KEY_NAME}.pub"
    own = (public_half(given) if given else made, directory / f"{makefile.key}.pub")
    named = NamedByUser(
        repositories=tuple(named_places(options).values()),
        keys=(*options.keyrings, *(os.fspath(path) for path in own if path.is_file())),
    )
    return ask_repositories(found.packages, directory, store.arch, named)


def request_since(
    options: BuildOptions,
    arch: Arch,
    graph: Graph,
    definitions: Definitions,
    request: BuildRequest,
) -> BuildRequest:
    """Return a request for what has changed since a commit, of what `request` is for.

    Raises:
        UsageError: there is no such commit, or no repository; or nobody has named packages, and a
            changed definition is broken.
        InfrastructureError: there is no git.

    """
    from dag.run.graph.changes import affected_since

    assert options.since is not None  # noqa: S101  # the caller's condition
    found = affected_since(options.since, graph, arch, definitions)
    changed = set(found.reasons)
    if request.rebuild_dependents:
        changed = {package.name for package in found.packages}
    lenient = not request.packages
    if lenient:
        found.require_sound()
    if request.packages:
        changed &= {package.name for package in graph.order(request.packages)}
    names = changed | request.rebuild
    return replace(request, packages=tuple(sorted(names)), lenient=lenient)


def find_refused(
    facts: DirectoryFacts | None,
    options: BuildOptions,
    found: Definitions,
    packages: Sequence[Package],
    store: Store,
) -> Mapping[str, tuple[FileProblem, ...]]:
    """Return what melange cannot compile of some packages, by the definitions' files."""
    if facts is not None:
        files = {one.file for one in packages}
        return {file: why for file, why in facts.refused.items() if file in files}
    check = CompileCheck(melange_here(options.make_vars), Path(options.directory))
    with announced(check.words):
        return check.refused(found, packages, store.arch)
