"""The stand-ins of a test: a directory of programs, what they were called with, and how they fail."""

from __future__ import annotations

import contextlib
import copy
import os
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler
from typing import Self

from tests.support.serving import serving
from tests.support.standins import gcloud, kind, kubectl
from tests.support.standins.world import Call, Failure, World

HANG = "hang"
"""A fault in which the call does not end by itself; its pid is in `hanging` in the directory."""
IGNORE = "ignore"
"""A fault in which the call does nothing and says that it succeeded."""

ANSWERS: dict[str, Callable[[World, Call], str | None]] = {
    "gcloud": gcloud.answer,
    "kind": kind.answer_kind,
    "docker": kind.answer_docker,
    "kubectl": kubectl.answer,
}
PROGRAM = Path(__file__).with_name("program.sh").read_text()


@dataclass
class Standins:
    """A directory of programs for PATH, and the record of their calls."""

    directory: Path
    names: tuple[str, ...] = ("gcloud", "kind", "docker")
    world: World = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    _calls: list[Call] = field(default_factory=list)
    _faults: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        programs = self.directory / "bin"
        programs.mkdir(parents=True)
        for name in self.names:
            (programs / name).write_text(PROGRAM)
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "STANDIN": str(self.directory),
            "STANDIN_PORT": str(self._stack.enter_context(serving(self._handler()))),
        }
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def calls(self) -> list[Call]:
        """Return all calls since the last time."""
        found, self._calls = self._calls, []
        return found

    def changes(self) -> list[Call]:
        """Return the calls since the last time that changed something."""
        return [call for call in self.calls() if not call.is_question()]

    def fail(self, *words: str, saying: str) -> None:
        """Make the next change, or any next call of kubectl, that has all these words fail once."""
        self._faults.append((words, saying))

    def answer(self, call: Call) -> tuple[str, str]:
        """Record and answer a call; return its exit code, or HANG, and what it says."""
        self._calls.append(call)
        if call.argv[0] == "kubectl" or not call.is_question():
            for fault in self._faults:
                words, saying = fault
                if all(word in str(call) for word in words):
                    self._faults.remove(fault)
                    return {HANG: (HANG, ""), IGNORE: ("0", "")}.get(saying, ("1", f"{saying}\n"))
        changed = copy.deepcopy(self.world)
        try:
            said = ANSWERS[call.argv[0]](changed, call)
        except Failure as failure:
            return "1", f"{failure}\n"
        except Exception:  # noqa: BLE001  # as of a program, it is what is on stderr
            return "1", traceback.format_exc()
        self.world = changed
        return "0", "" if said is None else f"{said}\n"

    def _handler(self) -> type[StreamRequestHandler]:
        standins, one_by_one = self, threading.Lock()

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                try:
                    directory, kubeconfig, cluster, count = (self._word() for _ in range(4))
                    argv = tuple(self._word() for _ in range(int(count)))
                    call = Call(argv, self._word(), Path(directory), kubeconfig, cluster)
                except ConnectionError:  # the program was killed before it had said all
                    return
                with one_by_one:
                    code, said = standins.answer(call)
                self.wfile.write(f"{code}\n{said}".encode())

            def _word(self) -> str:
                """Read until a NUL, which no word has in it, and no input of these programs."""
                word = bytearray()
                while (byte := self.rfile.read(1)) != b"\0":
                    if not byte:
                        raise ConnectionError("the input ends within a word")
                    word += byte
                return word.decode()

        return Handler
