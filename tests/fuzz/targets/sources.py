"""Parsers of what servers of sources say, and what a cache has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from dag.core.sources.checkouts import parse_picks
from dag.core.sources.downloads import SourceDigest, is_cache_name
from dag.core.sources.gitstate import STATE_FILE
from dag.core.sources.gitstate import parse as parse_state
from dag.core.sources.remotes import locate, submodule_uri
from dag.core.web import ContentRange, check_uri, parse_retry_after, redact, redact_text, secret_of
from dag.errors import DagError
from dag.io.package.patience import Unreachable
from dag.io.package.reach import joined, request_for
from dag.io.sources.git.files import RepositoryFiles
from dag.io.sources.logins import Logins
from dag.io.sources.records import Records
from tests.fuzz.targets.common import file_of, parts_of, target, text_of


@target
def git_state(data: bytes) -> None:
    with suppress(ValueError):
        state = parse_state(data)
        assert parse_state(state.text().encode()) == state


@target
def git_files(data: bytes) -> None:
    """Read the small files of a repository in the cache."""
    with TemporaryDirectory() as place:
        directory = Path(place)
        for name in ("objects", "refs"):
            (directory / name).mkdir()
        names = ("HEAD", "packed-refs", "shallow", STATE_FILE)
        for name, part in zip(names, data.split(b"\0", 3), strict=False):
            (directory / name).write_bytes(part)
        files = RepositoryFiles(directory, Records(directory / "verified"), directory)
        for work in (lambda: files.are_readable(["HEAD"]), files.read_state):
            with suppress(OSError, ValueError):
                work()
        files.resolve("refs/heads/main")


@target
def urls(data: bytes) -> None:
    text = text_of(data)
    with suppress(DagError):
        check_uri(text)
    for shown in (redact(text), redact_text(text)):
        shown.encode()
    secret_of(text)
    parse_retry_after(text, 0.0)
    ContentRange.parse(text)


@target
def cherry_picks(data: bytes) -> None:
    with suppress(DagError):
        parse_picks(text_of(data))


@target
def checksum(data: bytes) -> None:
    for algorithm in ("sha256", "sha512"):
        with suppress(DagError):
            assert is_cache_name(SourceDigest.parse(algorithm, text_of(data)).name)


@target
def submodule(data: bytes) -> None:
    """Read where a submodule comes from, given its parent."""
    parent, uri = parts_of(data, 2)
    with suppress(DagError):
        locate(submodule_uri(parent, uri))


@target
def stamps(data: bytes) -> None:
    with file_of(data) as file:
        Records(Path(file.name))


@target
def netrc(data: bytes) -> None:
    with file_of(data) as file, patch.dict(os.environ, {"NETRC": file.name}), suppress(DagError):
        Logins.of_the_user()


@target
def asked_url(data: bytes) -> None:
    """Ask for a URL that a definition or a server has named; nothing is sent."""
    base, location = parts_of(data, 2)
    with suppress(Unreachable):
        request_for(joined(base, location), {})
