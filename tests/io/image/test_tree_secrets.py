"""Credentials and keys are left out of bundles, and that is said."""

from __future__ import annotations

from pathlib import Path

from dag.io.image.tree import definitions_tree
from tests.io.image.test_tree import paths


def test_credentials_are_left_out_by_name_and_by_content_and_named(repo: Path) -> None:
    before = paths(definitions_tree(repo))
    secrets = {
        ".aws/credentials": "x",
        ".docker/config.json": "{}",
        ".env": "A=b",
        ".kube/config": "x",
        ".netrc": "machine h login l password p",
        "gcp.json": '{"private_key": "-----BEGIN PRIVATE KEY-----"}',
        "sub/.git-credentials": "https://u:p@h",
    }
    for name, text in secrets.items():
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text(text)
    (repo / "key.p12").write_bytes(b"\x30\x82\x01\x00\x02\x01\x03\x30")
    (repo / "sub" / ".env.local").symlink_to("../brotli.yaml")
    tree = definitions_tree(repo, include=["**"])
    assert paths(tree) == before
    assert tree.notes() == [
        "left out .aws/: credentials",
        "left out .docker/config.json: credentials",
        "left out .env: credentials",
        "left out .kube/: credentials",
        "left out .netrc: credentials",
        "left out gcp.json: credentials",
        "left out key.p12: a private key",
        "left out sub/.env.local: credentials",
        "left out sub/.git-credentials: credentials",
    ]


def test_a_huge_file_that_begins_like_a_key_is_not_read_to_its_end(repo: Path) -> None:
    with (repo / "sparse.pem").open("wb") as file:
        file.write(b"-----BEGIN CERTIFICATE-----\n")
        file.truncate(1 << 40)
    assert definitions_tree(repo).notes() == ["left out sparse.pem: a private key"]
