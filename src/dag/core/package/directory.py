"""What a directory defines: the sound definitions, the broken ones, and words about the rest."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dag.core.package.model import BrokenDefinition, Package
from dag.core.package.names import settle_clashes
from dag.core.package.problems import FileProblem
from dag.errors import UsageError

NO_INPUTS: Mapping[str, tuple[str, ...]] = {}
NO_VARIABLES: Mapping[str, str] = {}


class Definitions(NamedTuple):
    """The definitions of a directory."""

    directory: str
    packages: tuple[Package, ...]
    """The packages that can be used, by name; no two have one name."""
    broken: tuple[BrokenDefinition, ...]
    """The definitions that cannot be used, with those that another one goes before."""
    problems: tuple[FileProblem, ...]
    """Everything that is wrong, by file and line."""
    remarks: tuple[str, ...]
    """What looks like a definition and is not read, in words."""
    warnings: tuple[FileProblem, ...] = ()
    """What a person should know of the way in which all are read."""
    inputs: Mapping[str, tuple[str, ...]] = NO_INPUTS
    """File of a definition, sound or broken → the pipelines and the file of variables that it is
    resolved from, with paths that are relative to the directory or absolute."""
    variables: Mapping[str, str] = NO_VARIABLES
    """File of a definition → the file of variables that melange is given with it."""
    pipeline_roots: tuple[str, ...] = ()
    """The directories of pipelines, relative to that of the definitions."""
    unusable: int = 0
    """How many definitions cannot be used at all, and not because another one goes before."""
    melange_words: tuple[str, ...] = ()
    """What melange must be told besides, because the Makefile does not tell it."""

    def words(self) -> Iterator[str]:
        """Yield what a person should be told of these definitions, a line each."""
        for problem in self.problems:
            yield self.place(problem)
        if self.unusable:
            yield unusable_words(self.unusable)
        for warning in self.warnings:
            yield self.place(warning)
        for package in self.packages:
            for warning in (*package.warnings, *package.unbuildable):
                yield self.place(warning)
        yield from self.remarks

    def require_sound(self) -> None:
        """Refuse definitions with problems.

        Raises:
            UsageError: there are some; the message names all of them.

        """
        if len(self.problems) == 1:
            raise UsageError(self.place(self.problems[0]))
        if self.problems:
            lines = [f"the definitions have {len(self.problems)} problems"]
            raise UsageError("\n".join([*lines, *map(self.place, self.problems)]))

    def without(self, refused: Mapping[str, tuple[FileProblem, ...]]) -> Definitions:
        """Return the same, where the definitions in files that somebody `refused` are broken."""
        broken = [
            BrokenDefinition(one.file, tuple(sorted(one.given)), refused[one.file], one.pipelines)
            for one in self.packages
            if one.file in refused
        ]
        return self._replace(
            packages=tuple(one for one in self.packages if one.file not in refused),
            broken=(*self.broken, *broken),
            unusable=self.unusable + len(broken),
            problems=tuple(sorted({*self.problems, *(p for one in broken for p in one.problems)})),
        )

    def place(self, problem: FileProblem) -> str:
        """Return a problem in words, with the path of its file."""
        directory = "" if self.directory == "." else self.directory
        return str(problem._replace(file=posixpath.join(directory, problem.file)))


def gather_definitions(
    directory: str,
    packages: Sequence[Package],
    broken: Sequence[BrokenDefinition],
    *,
    arch: str,
    remarks: Sequence[str] = (),
    warnings: Sequence[FileProblem] = (),
) -> Definitions:
    """Return the definitions of a directory for `arch`, of which each package has one that counts."""
    ordered = sorted(packages, key=lambda package: (package.name, package.file))
    settled = settle_clashes(ordered, arch)
    problems = {*settled.problems, *(problem for one in broken for problem in one.problems)}
    return Definitions(
        directory=directory,
        packages=settled.packages,
        broken=(*broken, *settled.passed_over),
        problems=tuple(sorted(problems)),
        remarks=tuple(remarks),
        warnings=tuple(warnings),
        unusable=len(broken),
    )


def unusable_words(number: int) -> str:
    """Return that so many definitions cannot be used."""
    return (
        "1 definition cannot be used" if number == 1 else f"{number:,} definitions cannot be used"
    )
