"""kubectl, as far as the scripts of `dag setup` call it; its objects are a list in the world."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from dag.core.setup.steps import GUEST, identity, object_path
from tests.support.standins.world import Call, World, fail

_TAKE_A_VALUE = {"-n", "-o", "-f", "-p", "--raw"}
Object = dict[str, Any]


def answer(world: World, call: Call) -> str | None:
    objects: list[Object] = world.setdefault("objects", [])
    words, flags = _parse(call.argv[1:])
    match words[0]:
        case "get":
            return "\n".join(_row(one, flags["-o"]) for one in _chosen(objects, words, flags))
        case "delete":
            assert "--raw" in flags, "nothing is deleted by its name alone"
            _delete(objects, flags["--raw"], json.loads(call.stdin))
        case "apply":
            _apply(objects, yaml.safe_load(call.stdin), flags["--field-manager"])
        case "wait":
            return None
        case _:
            fail(f'error: unknown command "{words[0]}" for "kubectl"')
    return None


def _parse(argv: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    words, flags = [], {}
    rest = iter(argv)
    for word in rest:
        if word in _TAKE_A_VALUE:
            flags[word] = next(rest)
        elif word.startswith("--"):
            name, _, flags[name] = word.partition("=")
        else:
            words.append(word)
    return words, flags


def _chosen(objects: list[Object], words: list[str], flags: dict[str, str]) -> list[Object]:
    if "-f" in flags:
        return objects
    kind, name = words[1:]
    found = [
        one
        for one in objects
        if (one["kind"].lower(), one["metadata"]["name"]) == (kind, name)
        and one["metadata"].get("namespace") == flags.get("-n")
    ]
    if not found and "--ignore-not-found" not in flags:
        fail(f'Error from server (NotFound): {kind} "{name}" not found')
    return found


def _row(one: Object, columns: str) -> str:
    specs = columns.removeprefix("custom-columns=").split(",")
    return "   ".join(_cell(one, spec.partition(":")[2]) for spec in specs)


def _cell(one: Object, path: str) -> str:
    """Return what kubectl's custom column shows: https://kubernetes.io/docs/reference/kubectl/#custom-columns."""
    found: list[Any] = [one]
    for part in re.split(r"(?<!\\)\.", path)[1:]:
        key = part.removesuffix("[*]").replace("\\", "")
        found = [item[key] for item in found if key in item]
        if part.endswith("[*]"):
            found = [item for items in found for item in items]
    return ",".join(map(str, found)) or "<none>"


def _delete(objects: list[Object], path: str, options: Object) -> None:
    for one in objects:
        if object_path(one) == path:
            metadata = one["metadata"]
            seen = {key: metadata[key] for key in ("uid", "resourceVersion")}
            if options["preconditions"] != seen:
                fail("Error from server (Conflict): the object has been modified")
            objects.remove(one)
            return
    fail("Error from server (NotFound): the server could not find the requested resource")


def _apply(objects: list[Object], manifest: Object, manager: str) -> None:
    uid = manifest["metadata"].get("uid")
    for one in objects:
        metadata = one["metadata"]
        if object_path(one) == object_path(manifest) and metadata["uid"] == uid:
            assert manager == GUEST
            assert identity(manifest) == {**manifest, "metadata": identity(manifest)["metadata"]}
            kept = [entry for entry in metadata["managedFields"] if entry["manager"] != manager]
            metadata["managedFields"] = kept
            metadata["resourceVersion"] += "0"
            return
    fail("Error from server (Conflict): no object of this UID")
