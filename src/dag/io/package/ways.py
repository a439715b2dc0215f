"""What definitions are resolved with: pipelines and variables that are files, build options."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, field

from dag.core.arch import Arch
from dag.core.limits import PIPELINE, PIPELINES, VARIABLES
from dag.core.package.melangeflags import MELANGE_DIR, Resolution
from dag.core.package.model import pipeline_file
from dag.core.package.problems import FileProblem
from dag.errors import UsageError
from dag.io.files import is_so, read_bytes
from dag.io.package import parses

SHARED_PIPELINES = Path(MELANGE_DIR) / "pipelines"
"""The directory in which melange looks before its built-in pipelines."""


class PipelineFile(NamedTuple):
    """A pipeline that is a file."""

    path: str
    text: bytes
    input: str
    """Its path relative to the directory of the definitions, or an absolute one; empty if it is
    melange's own."""


class ResolutionWay(Struct, frozen=True, kw_only=True):
    """What the definitions of one `Resolution` are resolved with."""

    resolution: Resolution
    pipelines: Mapping[str, PipelineFile]
    """`uses` → the file that melange finds first."""
    behind: frozenset[str]
    """The pipelines among these that melange finds only after its built-in ones."""
    variables: Mapping[str, str]
    vars_input: str
    """The file of variables, as `PipelineFile.input` has it; empty if there is none."""
    problems: tuple[FileProblem, ...]
    """What is wrong with the file of variables, so that melange builds nothing with it."""
    salt: bytes
    """A hash of all that, which is part of the key of each definition in the cache."""

    @property
    def texts(self) -> dict[str, tuple[str, bytes]]:
        """Return the path and the text of each pipeline."""
        return {uses: (one.path, one.text) for uses, one in self.pipelines.items()}

    def inputs(self, used: Sequence[str]) -> tuple[str, ...]:
        """Return the files that a definition which uses these pipelines is resolved from, but it."""
        if not (used or self.vars_input):
            return ()
        names = map(pipeline_file, used)
        found = [self.pipelines[name].input for name in names if name in self.pipelines]
        return tuple(filter(None, (*found, self.vars_input)))


class Ways(Struct):
    """The ways in which the definitions of a directory are resolved, each read once."""

    directory: Path
    arch: Arch
    warnings: list[FileProblem] = field(default_factory=list)
    _known: dict[Resolution, ResolutionWay] = field(default_factory=dict)
    _listed: dict[Path, dict[str, PipelineFile]] = field(default_factory=dict)

    @property
    def pipeline_roots(self) -> tuple[str, ...]:
        """Return the directories of pipelines, relative to that of the definitions."""
        places = (one for known in self._known for one in known.pipeline_dirs)
        base = self.directory.resolve()
        return tuple(dict.fromkeys(os.path.relpath(base / one, base) for one in places))

    def find(self, resolution: Resolution) -> ResolutionWay:
        """Return the way for these flags of melange."""
        way = self._known.get(resolution)
        if way is None:
            way = self._known[resolution] = self._read(resolution)
        return way

    def _read(self, resolution: Resolution) -> ResolutionWay:
        pipelines, behind = self._pipelines(resolution.pipeline_dirs)
        variables, problems = self._variables(resolution.vars_file)
        salt = parses.run_salt(
            [
                self.arch.apk.encode(),
                *(option.encode() for option in resolution.build_options),
                b"",
                *(part for use, one in pipelines.items() for part in (os.fsencode(use), one.text)),
                b"",
                *(os.fsencode(one) for one in sorted(behind)),
                b"",
                *(text.encode() for pair in sorted(variables.items()) for text in pair),
            ]
        )
        return ResolutionWay(
            resolution=resolution,
            pipelines=pipelines,
            behind=behind,
            variables=variables,
            vars_input=self._input(self.directory / resolution.vars_file)
            if variables or problems
            else "",
            problems=problems,
            salt=salt,
        )

    def _pipelines(self, places: Sequence[str]) -> tuple[dict[str, PipelineFile], frozenset[str]]:
        found: dict[str, PipelineFile] = {}
        behind: set[str] = set()
        is_behind = False
        for place in (self.directory / one for one in places):
            if place == SHARED_PIPELINES:
                # Wherever melange has its own here, where it builds it has them in this place.
                is_behind = True
                for own in melange_pipeline_dirs():
                    found = {**self._pipelines_in(own, is_own=True), **found}
                continue
            more = self._pipelines_in(place)
            behind |= more.keys() - found.keys() if is_behind else set()
            found = {**more, **found}
        for own in melange_pipeline_dirs():
            found = {**self._pipelines_in(own, is_own=True), **found}
        return found, frozenset(behind)

    def _pipelines_in(self, place: Path, *, is_own: bool = False) -> dict[str, PipelineFile]:
        found = self._listed.get(place)
        if found is None:
            found = {}
            files = _walk(os.fspath(place), "", frozenset()) if place.is_dir() else ()
            for count, (uses, path) in enumerate(files, start=1):
                PIPELINES.check(count, str(place))
                text = _pipeline(path)
                found[uses] = PipelineFile(path, text, "" if is_own else self._input(Path(path)))
            self._listed[place] = found
        return found

    def _variables(self, name: str) -> tuple[dict[str, str], tuple[FileProblem, ...]]:
        if not name:
            return {}, ()
        from dag.core.package.variables import read_variables

        try:
            data = read_bytes(self.directory / name, VARIABLES)
        except FileNotFoundError:
            what = "melange is given this file of variables, and it does not exist"
            self.warnings.append(FileProblem(name, 1, what, "make it, unless make does so itself"))
            return {}, ()
        except OSError as error:
            what = f"the file of variables cannot be read ({error.strerror})"
            return {}, (FileProblem(name, 1, what, "make it readable"),)
        found, problems = read_variables(data, name)
        return found, tuple(problems)

    def _input(self, path: Path) -> str:
        full = os.path.abspath(path)  # noqa: PTH100  # links stay what they are
        for base in (os.path.abspath(self.directory), os.path.realpath(self.directory)):  # noqa: PTH100
            if full.startswith(f"{base}{os.sep}"):
                return os.path.relpath(full, base)
        return full


def _pipeline(path: str) -> bytes:
    try:
        return read_bytes(Path(path), PIPELINE)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="make it readable, or remove it"
        ) from error


def _walk(directory: str, prefix: str, above: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Return the YAML files below `directory`; links are followed, but never in circles."""
    real = os.path.realpath(directory)
    if real in above:
        return
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if is_so(entry.is_dir):
            yield from _walk(entry.path, f"{prefix}{entry.name}/", above | {real})
        elif entry.name.endswith(".yaml") and is_so(entry.is_file):
            yield prefix + entry.name.removesuffix(".yaml"), entry.path


def melange_pipeline_dirs() -> list[Path]:
    """Return the directories in which an installed melange keeps its pipelines as files."""
    places = [SHARED_PIPELINES]
    program = shutil.which("melange")
    if program:
        places.insert(0, Path(program).resolve().parent.parent / "share" / "melange" / "pipelines")
    return [place for place in dict.fromkeys(places) if place.is_dir()]
