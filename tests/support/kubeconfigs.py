"""Kubeconfig files and credential plugins for a server on loopback."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect

VERSION = json.dumps({"gitVersion": "v1.99.0"}).encode()


async def ask(config: str) -> None:
    """Make one request with the kubeconfig's user and server."""
    kube = Kube(connect(config), pytest.fail)
    try:
        await kube.get("/version")
    finally:
        await kube.close()


def kubeconfig(
    path: Path,
    server: str,
    user: dict[str, Any] | None = None,
    cluster: object = None,
) -> str:
    """Write a kubeconfig with one context, `here`; by default its user has a token."""
    if cluster is None or isinstance(cluster, dict):
        cluster = {"server": server, **(cluster or {})}
    user = {"token": "open-sesame"} if user is None else user
    config = {
        "current-context": "here",
        "clusters": [{"name": "there", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "there", "user": "me"}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return str(path)


def plugin(path: Path, script: str) -> dict[str, Any]:
    """Write a credential plugin, which is a shell script, and return the user that has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path)}}


def printing(output: str) -> str:
    """Return a script that prints this."""
    return f"printf %s {shlex.quote(output)}"


def credential(token: str) -> str:
    """Return what a credential plugin prints."""
    return json.dumps({"kind": "ExecCredential", "status": {"token": token}})
