"""Asks the melange of this machine which definitions it can load, before anything is built.

melange is asked once for each text of a definition. The answers are kept beside the parsed
definitions, for each melange in a file of its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import msgspec

from dag.core.limits import DEFINITION, RECORD, VARIABLES
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
_UNLOADED = "failed to load configuration"
"""How `melange compile` begins its answer if the definition is at fault, not its pipelines."""


class LoadCheck:
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
        return f"asking melange whether it can load the definitions: {done} are answered"

    def refused(
        self, found: Definitions, packages: Sequence[Package]
    ) -> dict[str, tuple[FileProblem, ...]]:
        """Return what is wrong with those of `packages` that melange cannot load, by their files."""
        if not Path(self._melange).is_file():
            return {}  # whoever needs it will say so
        answers = self._read()
        keys = {
            one.file: self._key(one.file, found.variables.get(one.file, "")) for one in packages
        }
        new = {key: file for file, key in keys.items() if key and key not in answers}
        self._asked = len(new)
        if new:
            try:
                with ThreadPoolExecutor(2 * len(os.sched_getaffinity(0))) as pool:
                    asked = pool.map(
                        lambda file: self._ask(file, found.variables.get(file, "")), new.values()
                    )
                    for key, answer in zip(new, asked, strict=True):
                        self._answered += 1
                        if answer is not None:
                            answers[key] = answer
            finally:
                self._write()  # also of what somebody interrupts
        return {
            one.file: read_refusal(one.file, one.line, answers[keys[one.file]])
            for one in packages
            if answers.get(keys[one.file])
        }

    def _key(self, file: str, variables: str) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        try:
            digest.update(read_bytes(self._directory / file, DEFINITION))
            if variables:
                digest.update(b"\0" + read_bytes(self._directory / variables, VARIABLES))
        except OSError:
            return b""  # it is gone since; the build will say so
        return digest.digest()

    def _ask(self, file: str, variables: str) -> str | None:
        """Return why melange does not load a file; empty if it does, None if that is not known."""
        words = ["query", f"./{file}", "{{.Package.Name}}"]
        if variables:
            # Only `compile` takes these. It loads the definition first, for whichever architecture;
            # whether it finds the pipelines then is not asked.
            words = ["compile", "--arch", "x86_64", "--vars-file", variables, f"./{file}"]
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
        if done.returncode == 0 or (variables and _UNLOADED not in said):
            return ""
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
