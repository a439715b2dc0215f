"""Parsers of what registries say, and what images and directories are made of."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import httpx2

from dag.core.image import layers, secrets
from dag.core.image.agent import FactFinder
from dag.core.image.descriptors import Blob, parse_object
from dag.core.image.ignore import parse_patterns
from dag.core.image.references import parse_reference, parse_repository
from dag.core.limits import CACHE_LAYER_MEMBERS, PACKAGE_MEMBERS, TooLarge
from dag.core.tar import BrokenArchive, TarReader
from dag.errors import DagError
from dag.io.archives import DamagedStream, gunzip, limit_pieces, reader_of, unpack
from dag.io.image.registry import credentials
from dag.io.image.registry.answers import parse_location
from dag.io.image.registry.auth import parse_challenges
from dag.io.image.registry.refusals import parse_refusal
from tests.fuzz.targets.common import file_of, target, text_of

_LIMIT = CACHE_LAYER_MEMBERS.header


@target
def archive(data: bytes) -> None:
    """Read an index or the layer of an image: packed, and a tar."""
    for limits, joined in ((PACKAGE_MEMBERS, True), (CACHE_LAYER_MEMBERS, False)):
        with suppress(BrokenArchive, DamagedStream, TooLarge):
            pieces = limit_pieces(unpack([data]), _LIMIT, "it")
            reader = TarReader(reader_of(pieces), limits, "it", joined=joined)
            for member in reader:
                member.name.encode(errors="surrogateescape")
                if member.is_file:
                    for _ in reader.blocks():
                        pass
    with suppress(DamagedStream, TooLarge):
        for _ in limit_pieces(gunzip([data]), _LIMIT, "it"):
            pass


@target
def image(data: bytes) -> None:
    """Read manifest, index, descriptor and config of an image."""
    with suppress(ValueError):
        document = parse_object(data)
        for read in (layers.base_layers, Blob.parse):
            with suppress(ValueError):
                read(document)


@target
def references(data: bytes) -> None:
    for read in (parse_reference, parse_repository):
        with suppress(DagError):
            read(text_of(data))


@target
def challenge(data: bytes) -> None:
    parse_challenges(text_of(data))


@target
def docker_config(data: bytes) -> None:
    with file_of(data) as file:
        one = credentials.CredentialFile(Path(file.name), "X", is_bare=data[:1] == b"\n")
        # What is a program is not run.
        known = {"credsStore": None, "credHelpers": None}
        with suppress(DagError):
            found = credentials._read_config(one)
            places = ["ghcr.io/a/b", "ghcr.io/a", "ghcr.io"]
            tables = {**(found or {}), **known}
            credentials._from_auths(credentials._table(tables, "auths"), places, one.path)


@target
def ignore_file(data: bytes) -> None:
    with suppress(DagError):
        patterns = parse_patterns(text_of(data), ".dagignore")
        patterns.match("a/b/c.yaml")


@target
def secret_file(data: bytes) -> None:
    secrets.secret_content(data)
    secrets.secret_name(text_of(data))


@target
def registry_refusal(data: bytes) -> None:
    text = parse_refusal(httpx2.Response(401, content=data)).text
    assert text.isprintable()


@target
def registry_location(data: bytes) -> None:
    request = httpx2.Request("POST", "https://registry.example.com/v2/a/blobs/uploads/")
    headers = [(b"location", data)]
    with suppress(ValueError):
        parse_location(httpx2.Response(202, headers=headers, request=request))


@target
def base_library(data: bytes) -> None:
    """Find the C library and Python in a layer of a base image."""
    name, _, content = data.partition(b"\0")
    finder = FactFinder()
    finder.wants(text_of(name))
    finder.take(content)
    with suppress(DagError):
        finder.facts().check("python:3")
