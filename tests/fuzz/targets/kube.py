"""Parsers of what Kubernetes and its files of settings say."""

from __future__ import annotations

import json
from contextlib import suppress

import httpx2

from dag.core.visible import visible_json
from dag.errors import DagError
from dag.io.kube import answers, auth, contexts, tls
from dag.io.kube.answers import ApiError
from dag.run.pod.out import parse_listing
from tests.fuzz.targets.common import file_of, target, text_of


@target
def kubeconfig(data: bytes) -> None:
    with file_of(data) as file, suppress(DagError):
        contexts.find_namespace(file.name, None)
    with file_of(data) as file, suppress(DagError):
        contexts.choose_context(file.name, None)


@target
def watch_event(data: bytes) -> None:
    with suppress(DagError):
        _, found = answers.read_event("server", data)
        visible_json(found)
    with suppress(ValueError, DagError, RecursionError):
        found = json.loads(data)
        if isinstance(found, dict):
            answers.check_list("server", found)


@target
def kube_answer(data: bytes) -> None:
    """Read an answer of an API server, whatever was asked."""
    for status in (200, 302, 404):
        response = httpx2.Response(status, content=data)
        with suppress(ApiError):
            found = answers.read_answer("server", response)
            for check in (answers.check_version, answers.check_group, answers.check_list):
                with suppress(ApiError):
                    check("server", found)
            with suppress(ApiError):
                answers.check_object("server", found, "Pod")


@target
def exec_credential(data: bytes) -> None:
    with suppress(DagError):
        auth._bearer(auth._token(data, "gke-gcloud-auth-plugin"), "the token")


@target
def certificate(data: bytes) -> None:
    with suppress(ValueError):
        tls._decode_base64(text_of(data))


@target
def pod_listing(data: bytes) -> None:
    with suppress(DagError):
        parse_listing(data.decode(errors="surrogateescape"), "x86_64")
