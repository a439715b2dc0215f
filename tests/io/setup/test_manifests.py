"""Manifests from a URL, of a server that is not what somebody took it for."""

from __future__ import annotations

import pytest

from dag.errors import InfrastructureError
from dag.io.setup.manifests import fetch_manifests
from tests.support.faults import Origin


async def test_the_documents_of_a_file_are_objects_and_empty_ones_are_none(origin: Origin) -> None:
    url = origin.put("/a.yaml", b"apiVersion: v1\nkind: A\nmetadata: {name: x}\n---\n---\n")
    assert await fetch_manifests(url) == [
        {"apiVersion": "v1", "kind": "A", "metadata": {"name": "x"}}
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"a: [", "is not YAML"),
        (b"[" * 5000, "is nested too deeply"),
        (b"just text", "contains something that is not a Kubernetes object"),
        (b"apiVersion: v1\nkind: A\n", "contains something that is not a Kubernetes object"),
    ],
)
async def test_what_is_no_manifest_is_said(origin: Origin, body: bytes, words: str) -> None:
    with pytest.raises(InfrastructureError, match=words):
        await fetch_manifests(origin.put("/a.yaml", body))


async def test_a_file_without_an_end_is_left(origin: Origin) -> None:
    with pytest.raises(InfrastructureError, match="has more than 4 MiB"):
        await fetch_manifests(origin.endless("/a.yaml"))
