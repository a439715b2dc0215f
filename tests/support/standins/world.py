"""The common part of the stand-ins: their state, their record and their faults."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from tests.support.standins import HANG, IGNORE

STATE = Path(os.environ["STANDIN"])
World = dict[str, Any]


def main(answer: Callable[[World, list[str], str], str | None], *, question: bool) -> None:
    """Record this call, and answer it, unless it is to fail."""
    argv = sys.argv[1:]
    stdin = "" if sys.stdin.isatty() else sys.stdin.read()
    with (STATE / "calls.jsonl").open("a") as file:
        file.write(json.dumps({"argv": argv, "stdin": stdin}) + "\n")
    if not question:
        _fault(argv)
    path = STATE / "world.json"
    world = json.loads(path.read_text()) if path.exists() else {}
    said = answer(world, argv, stdin)
    path.write_text(json.dumps(world, indent=1))
    if said is not None:
        print(said)


def fail(text: str) -> NoReturn:
    """End as the real program does when it fails."""
    print(text, file=sys.stderr)
    sys.exit(1)


def credentials(context: str) -> None:
    """Write the kubeconfig of the real cluster under the name of this cluster."""
    config = yaml.safe_load(Path(os.environ["STANDIN_KUBECONFIG"]).read_text())
    config["contexts"][0]["name"] = config["current-context"] = context
    Path(os.environ["KUBECONFIG"]).write_text(json.dumps(config))


def _fault(argv: list[str]) -> None:
    path = STATE / "faults.json"
    faults = json.loads(path.read_text()) if path.exists() else []
    for fault in faults:
        if all(word in " ".join(argv) for word in fault["words"]):
            faults.remove(fault)
            path.write_text(json.dumps(faults))
            if fault["saying"] == HANG:
                (STATE / "hanging").write_text(str(os.getpid()))
                signal.pause()
            if fault["saying"] == IGNORE:
                sys.exit()
            fail(fault["saying"])
