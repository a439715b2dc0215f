"""What a build is planned from: a directory of definitions, a store, and what repositories have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.options import BuildOptions
from dag.core.build.scripts import MakeVariables, build_script
from dag.core.graph.graph import Graph
from dag.core.image.archive import Entry, file_of
from dag.core.limits import PIPELINE
from dag.core.package.apkindex import offers
from dag.core.package.directory import Definitions
from dag.core.package.makefile import KeyMaker, Makefile
from dag.core.package.problems import FileProblem
from dag.core.package.repositories import NamedByUser, Repositories
from dag.core.say import Say
from dag.core.shell import ShellScript
from dag.errors import UsageError
from dag.io.files import read_bytes
from dag.io.graph.git import given_epoch
from dag.io.image.tree import definitions_tree
from dag.io.package.compiling import CompileCheck
from dag.io.package.keypairs import public_half
from dag.io.package.makefile import makefile_of
from dag.io.store import ownkey
from dag.io.store.local import Store
from dag.run.announcing import announced
from dag.run.build.builder import Builder
from dag.run.build.places import KEYS, keyring_in_workspace, linked_paths, named_places
from dag.run.build.runs import read_results
from dag.run.build.signing import given_key
from dag.run.build.stores import read_others
from dag.run.build.tools import melange_here
from dag.run.build.workspace import Parts, fingerprints, split_by_package
from dag.run.graph.definitions import read_definitions
from dag.run.graph.repositories import ask_repositories
from dag.run.sources.place import cache_beside


@dataclass(frozen=True, kw_only=True)
class Basis:
    """All of it was read before anything is planned, and follows from that; nothing changes later."""

    options: BuildOptions
    store: Store
    """Whoever changes it holds its lock."""
    say: Say
    builder: Builder
    key: Path | None
    """The user's key; None if there is none."""
    makefile: Makefile
    repositories: Repositories
    entries: Sequence[Entry]
    """The files of the directory that units may get, and the pipelines outside of it."""
    others: Sequence[Store]
    """More stores that are asked for what is finished."""
    found: Definitions
    """Those that can be built, as far as anybody knows."""
    refused: Mapping[str, tuple[FileProblem, ...]] = field(default_factory=dict)
    """What melange cannot compile of all that was to be built, by the definitions' files."""

    @property
    def arch(self) -> Arch:
        """Return the architecture that is built for."""
        return self.store.arch

    @property
    def directory(self) -> Path:
        """Return the directory of the definitions."""
        return Path(self.options.directory)

    @cached_property
    def graph(self) -> Graph:
        """Return the graph of the definitions, with what repositories have."""
        return Graph(
            self.found.packages,
            arch=self.arch.apk,
            repository=self.repositories.common,
            own=self.repositories.own,
            broken=self.found.broken,
        )

    @cached_property
    def elsewhere(self) -> frozenset[str]:
        """Return the packages that a repository has in the version of today's definitions."""
        versions = self.repositories.common.versions
        return frozenset(one.name for one in self.found.packages if offers(versions, one))

    @cached_property
    def parts(self) -> Parts:
        """Return the files, by the packages that need them."""
        return split_by_package(self.entries, self.found, self.options.common)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Return the fingerprints of the definitions, by package."""
        return fingerprints(self.parts, self.found.packages)

    @cached_property
    def variables(self) -> MakeVariables:
        """Return what make is told, but for what is another in each unit or on each machine."""
        options, key = self.options, self.key
        return MakeVariables(
            arch=self.arch,
            source_date_epoch=0,
            cache_dir="cache",
            key=f"{KEYS}/{key.name}" if key else self.makefile.key,
            repositories=list(named_places(options)),
            keyrings=[keyring_in_workspace(self.directory, one) for one in options.keyrings],
            pipeline_dirs=[os.fspath(Path(one).resolve()) for one in options.pipeline_dirs],
            build_options=options.build_options,
            melange_flags=self.found.melange_words,
            files=self.makefile.variables(self.graph.packages),
            more=options.make_vars,
        )

    def script(self, variables: MakeVariables) -> ShellScript:
        """Return the script of a build on this machine, where every unit has the same key."""
        return build_script(
            variables,
            key_maker=KeyMaker.NOBODY,
            makefile=self.makefile.built_in,
            hermetic=self.options.hermetic,
            trust_steps=self.options.trust_steps,
            check_path=bool(self.makefile.own_calls),
            state="../state",  # beside the workspace
        )

    def cache(self) -> Path:
        """Return the cache beside the definitions; if there is none, an empty one of this run."""
        cache = cache_beside(self.directory.resolve())
        return cache if cache.is_dir() else self.store.work.resolve() / "cache"

    def find_refused(self, names: set[str]) -> Mapping[str, tuple[FileProblem, ...]]:
        """Return what melange cannot compile of the packages of these names, by the definitions' files."""
        packages = [one for one in self.found.packages if one.name in names]
        if (facts := self.builder.facts) is not None:
            files = {one.file for one in packages}
            return {file: why for file, why in facts.refused.items() if file in files}
        check = CompileCheck(melange_here(self.options.make_vars), self.directory)
        with announced(check.words):
            return check.refused(self.found, packages, self.arch)

    def without(self, refused: Mapping[str, tuple[FileProblem, ...]]) -> Basis:
        """Return this without definitions that melange refuses, and tell of these.

        Raises:
            UsageError: `--strict` is given, so that nothing is built without them.

        """
        found = self.found.without(refused)
        if self.options.strict:
            found.require_sound()
        told = {*self.found.words()}
        for problem in (one for several in refused.values() for one in several):
            if (words := found.place(problem)) not in told:
                self.say(words)
        return replace(self, found=found, refused={**self.refused, **refused})


def read_basis(store: Store, options: BuildOptions, say: Say, builder: Builder) -> Basis:
    """Read a directory of definitions, and ask repositories; `say` is told what is odd there.

    Raises:
        UsageError: a definition is wrong, a name unknown, or there is no Makefile.
        InfrastructureError: the server of a repository that a flag names does not answer as it should.

    """
    directory = Path(options.directory)
    if store.root == directory.resolve():
        raise UsageError(
            "--store is the directory of the definitions, so it would be a part of every build",
            hint=f"name a directory below it, like {directory / 'packages'}",
        )
    given_epoch()
    key = given_key(options.key_file, for_melange=builder.is_here)
    makefile = makefile_of(directory, options.target_template, options.make_assignments())
    foreign = makefile.foreign_key_note("--signing-key") if key else None
    for note in filter(None, (*makefile.notes("KEY", "MELANGE_EXTRA_OPTS"), foreign)):
        say(note)
    found = read_definitions(options, options.directory, store.arch)
    for line in found.words():
        say(line)
    made = store.state / "key" / f"{ownkey.KEY_NAME}.pub"
    own = (public_half(key) if key else made, directory / f"{makefile.key}.pub")
    named = NamedByUser(
        repositories=tuple(named_places(options).values()),
        keys=(*options.keyrings, *(os.fspath(path) for path in own if path.is_file())),
    )
    repositories = ask_repositories(found.packages, directory, store.arch, named)
    for line in repositories.words:
        say(line)
    entries = _find_entries(options, found, store.root, say)
    others = read_others(options.other_stores, store, say)
    store.chosen = {**read_results(store), **store.chosen}
    return Basis(
        options=options,
        store=store,
        say=say,
        builder=builder,
        key=key,
        makefile=makefile,
        repositories=repositories,
        entries=entries,
        others=others,
        found=found,
    )


def _find_entries(options: BuildOptions, found: Definitions, store: Path, say: Say) -> list[Entry]:
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
