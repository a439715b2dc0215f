"""Asks the melange of this machine which definitions it can compile, before anything is built.

melange is asked once for each text of a definition and of what it is resolved from. The answers are
kept beside the parsed definitions, for each melange in a file of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

from dag.core.arch import Arch
from dag.core.limits import DEFINITION, RECORD
from dag.core.package.directory import Definitions
from dag.core.package.model import Package
from dag.core.package.problems import FileProblem
from dag.core.package.refusals import read_refusal
from dag.io import durable
from dag.io.files import read_bytes
from dag.io.usercache import user_cache

_SECONDS = 60
"""How long melange may take for one definition; it takes some hundredths."""
_KEPT = 50_000
"""How many answers are kept for one melange."""
_ANSWERS = msgspec.msgpack.Decoder(dict[bytes, str])
_AT_FAULT = re.compile(
    r"failed to load configuration"
    r"|failed to compile .*(?:undefined input|variable \S+ not defined|stripping runs comments)"
)
"""What `melange compile` says if the definition is at fault, and not where pipelines are looked for."""
_UNLOADED = re.compile(r"failed to load configuration")
_ERROR = " ERRO "


class Question(NamedTuple):
    """What an answer of melange depends on, besides the text of the definition."""

    arch: str
    variables: str
    """The file of variables; empty if there is none."""
    roots: tuple[str, ...]
    """The directories of pipelines."""
    options: tuple[str, ...]
    inputs: tuple[str, ...]
    """The files that the definition is resolved from."""


class CompileCheck:
    """The definitions of a directory, in the eyes of one melange."""

    def __init__(self, melange: str | None, directory: Path) -> None:
        """Take the path of melange; None, or a file that is not there, refuses nothing."""
        self._melange = melange or ""
        self._directory = directory
        self._answers: dict[bytes, str] | None = None
        self._asked = self._answered = 0

    @cached_property
    def _file(self) -> Path:
        status = Path(self._melange).stat()
        about = f"{os.path.realpath(self._melange)}\0{status.st_size}\0{status.st_mtime_ns}"
        name = hashlib.blake2b(about.encode(), digest_size=16).hexdigest()
        return user_cache("loads") / f"{name}.msgpack"

    def words(self) -> str:
        """Return what is done, and how far it is."""
        done = f"{self._answered:,} of {self._asked:,}"
        return f"asking melange whether it can compile the definitions: {done} are answered"

    def refused(
        self, found: Definitions, packages: Sequence[Package], arch: Arch
    ) -> dict[str, tuple[FileProblem, ...]]:
        """Return what is wrong with those of `packages` that melange cannot compile or build, by file."""
        unbuildable = {one.file: one.unbuildable for one in packages if one.unbuildable}
        if not Path(self._melange).is_file():
            return unbuildable  # whoever needs it will say so
        answers = self._read()
        roots = [one for one in found.pipeline_roots if (self._directory / one).is_dir()]
        questions = {
            one.file: Question(
                arch=arch.apk,
                variables=found.variables.get(one.file, ""),
                roots=tuple(roots),
                options=one.options,
                inputs=tuple(found.inputs.get(one.file, ())),
            )
            for one in packages
        }
        digests: dict[str, bytes] = {}
        keys = {file: self._key(file, asked, digests) for file, asked in questions.items()}
        new = {key: file for file, key in keys.items() if key and key not in answers}
        self._asked = len(new)
        if new:
            try:
                with ThreadPoolExecutor(2 * len(os.sched_getaffinity(0))) as pool:
                    asked = pool.map(lambda file: self._ask(file, questions[file]), new.values())
                    for key, answer in zip(new, asked, strict=True):
                        self._answered += 1
                        if answer is not None:
                            answers[key] = answer
            finally:
                self._write()  # also of what somebody interrupts
        return unbuildable | {
            one.file: read_refusal(one.file, one.line, answers[keys[one.file]])
            for one in packages
            if answers.get(keys[one.file])
        }

    def _key(self, file: str, asked: Question, digests: dict[str, bytes]) -> bytes:
        """Return a hash of all that an answer depends on; `digests` has those of the files so far."""
        try:
            for one in {file, asked.variables, *asked.inputs}.difference(digests, {""}):
                data = read_bytes(self._directory / one, DEFINITION)
                digests[one] = hashlib.blake2b(data, digest_size=16).digest()
        except OSError:
            return b""  # it is gone since; the build will say so
        files = (file, asked.variables, *asked.inputs)
        about = [repr(asked).encode(), *(digests[one] for one in files if one)]
        return hashlib.blake2b(b"\0".join(about), digest_size=16).digest()

    def _ask(self, file: str, asked: Question) -> str | None:
        """Return why melange does not compile a file; empty if it does, None if that is not known."""
        words = ["compile", "--arch", asked.arch]
        words += [f"--build-option={option}" for option in asked.options]
        words += ["--vars-file", asked.variables] if asked.variables else []
        # `compile` takes one directory. With several it finds other pipelines than the build does.
        words += ["--pipeline-dir", *asked.roots] if len(asked.roots) == 1 else []
        words += [f"./{file}"]
        at_fault = _AT_FAULT if len(asked.roots) < 2 else _UNLOADED
        try:
            done = subprocess.run(
                [self._melange, *words],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
                timeout=_SECONDS,
                process_group=0,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        said = done.stderr[-(1 << 16) :].decode(errors="replace")
        if done.returncode == 0 or (_ERROR in said and not at_fault.search(said)):
            return ""  # it may be told of other pipelines, or not be for this architecture
        return said or f"it ended with exit code {done.returncode}"

    def _read(self) -> dict[bytes, str]:
        if self._answers is None:
            try:
                self._answers = _ANSWERS.decode(read_bytes(self._file, RECORD))
            except (OSError, ValueError, msgspec.DecodeError):
                self._answers = {}
        return self._answers

    def _write(self) -> None:
        answers = dict(list(self._read().items())[-_KEPT:])
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            durable.write(self._file, msgspec.msgpack.encode(answers), lasting=False)
        except OSError:
            return  # they are asked for again
