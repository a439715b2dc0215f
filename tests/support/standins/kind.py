"""A kind and a docker with as much as `dag setup kind` calls; containers are entries of the world."""

from __future__ import annotations

import re
from typing import Any

from tests.support.standins.world import Call, World, fail


def answer_kind(world: World, call: Call) -> str | None:
    argv = call.argv
    clusters = world.setdefault("clusters", {})
    flags = dict(word[2:].split("=", 1) for word in argv if word.startswith("--"))
    name = flags.get("name", "")
    match argv[1:3]:
        case ("get", "clusters"):
            return "\n".join(clusters)
        case ("get", "nodes"):
            return "\n".join(clusters[name])
        case ("create", "cluster"):
            if name in clusters:
                fail(f'ERROR: node(s) already exist for a cluster with the name "{name}"')
            if flags["config"] != "-" or "kind: Cluster" not in call.stdin:
                fail("ERROR: no configuration")
            clusters[name] = [f"{name}-control-plane"]
            world.setdefault("containers", {})[f"{name}-control-plane"] = {"files": {}}
        case ("delete", "cluster"):
            for node in clusters.pop(name):
                del world["containers"][node]
        case ("export", "kubeconfig"):
            call.write_credentials(f"kind-{name}")
        case _:
            fail(f"ERROR: unknown command {argv}")
    return None


def answer_docker(world: World, call: Call) -> str | None:
    argv = call.argv
    containers = world.setdefault("containers", {})
    words = [word for word in argv[2:] if not word.startswith("--")]
    match argv[1]:
        case "run":
            flags = dict(
                word[2:].split("=", 1) for word in argv if word.startswith("--") and "=" in word
            )
            key, value = flags["label"].split("=")
            made = {"running": True, "labels": {key: value}, "networks": ["bridge"], "files": {}}
            if flags["name"] in containers:
                fail("docker: Error response from daemon: Conflict.")
            containers[flags["name"]] = made
        case "inspect":
            return _inspect(_container(containers, words[0]), words[0], argv)
        case "start":
            _container(containers, words[0])["running"] = True
        case "network":
            _container(containers, words[2])["networks"].append(words[1])
        case "exec":
            return _exec(containers, [word for word in words if word != "-i"], call.stdin)
        case "rm":
            del containers[words[0]]
        case _:
            fail(f"unknown command {argv}")
    return None


def _container(containers: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in containers:
        fail(f"Error: No such object: {name}")
    found: dict[str, Any] = containers[name]
    return found


def _inspect(container: dict[str, Any], name: str, argv: tuple[str, ...]) -> str:
    (shape,) = (word.removeprefix("--format=") for word in argv if word.startswith("--format="))
    answers = {
        "{{.Name}}": f"/{name}",
        "{{.State.Running}}": str(container["running"]).lower(),
        '{{index .Config.Labels "managed-by"}}': container["labels"].get("managed-by", ""),
        "{{if .NetworkSettings.Networks.kind}}yes{{end}}": "yes"
        * ("kind" in container["networks"]),
    }
    return str(answers[shape])


def _exec(containers: dict[str, Any], words: list[str], stdin: str) -> str | None:
    node, program, *rest = words
    files = _container(containers, node)["files"]
    match program:
        case "mkdir":
            return None
        case "cp":
            files[rest[1]] = stdin
        case "cat":
            if missing := [name for name in rest if name not in files]:
                fail(f"cat: {missing[0]}: No such file or directory")
            return "".join(files[name] for name in rest).rstrip("\n")
        case "sh":
            found = re.fullmatch(r"echo (.*) >(\S+)", rest[1])
            assert found
            files[found[2]] = found[1]
    return None
