"""Reads answers of registries without trust: for so long, up to a size, as they are on the wire."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx2

from dag.core.limits import REGISTRY_DOCUMENT
from dag.io.image.registry.refusals import RegistryError, TooSlow
from dag.io.web import public_url, with_body

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT_TIME = 30.0
"""Seconds for the body of a document, however slowly it trickles."""
STALL = 30.0
SLOWEST = 100
"""A blob has failed that brings fewer bytes a second over `STALL` seconds of waiting for it."""


def read_document(response: httpx2.Response, host: str) -> httpx2.Response:
    """Read a document and close its answer; return an answer that has it.

    No encoding was asked for, so none is undone, whatever the headers say.

    Raises:
        RegistryError: it is too large, or comes too slowly.
        httpx2.TransportError: the connection broke.

    """
    data, until = bytearray(), time.monotonic() + DOCUMENT_TIME
    what = f"registry {host}: the answer of {public_url(response.request.url)}"
    try:
        for piece in response.iter_raw():
            data += piece
            if len(data) > REGISTRY_DOCUMENT.most:
                raise RegistryError(REGISTRY_DOCUMENT.error(what).message)
            if time.monotonic() > until:
                raise TooSlow(
                    f"{what} was not there after {DOCUMENT_TIME:g} s ({len(data):,} bytes came)"
                )
    finally:
        response.close()
    return with_body(response, bytes(data))


def read_blob(response: httpx2.Response, host: str) -> Iterator[bytes]:
    """Read a blob in pieces; the time that whoever reads them takes does not count.

    Raises:
        RegistryError: it comes too slowly.
        httpx2.TransportError: the connection broke.

    """
    pieces = response.iter_raw()
    waited, received = 0.0, 0
    while True:
        began = time.monotonic()
        piece = next(pieces, None)
        if piece is None:
            return
        waited += time.monotonic() - began
        received += len(piece)
        if waited >= STALL:
            if received < SLOWEST * STALL:
                raise TooSlow(f"registry {host} sends fewer than {SLOWEST} bytes a second")
            waited, received = 0.0, 0
        yield piece


def discard(response: httpx2.Response) -> None:
    """Close an answer whose body nobody wants; if it has none, the connection is kept."""
    try:
        if response.headers.get("content-length") == "0":
            for _ in response.iter_raw():
                pass
    finally:
        response.close()


def parse_location(response: httpx2.Response) -> httpx2.URL:
    """Return the URL that an answer points to.

    Raises:
        ValueError: it says where, and that is no URL; the text says so.
        KeyError: it does not say where.

    """
    return parse_url(response.headers["location"], response.request.url)


def parse_url(text: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """Return a URL that a server gave, once it is checked.

    Raises:
        ValueError: it is none; the text says so.

    """
    try:
        url = httpx2.URL(text) if base is None else base.join(text)
        url.host.encode("idna")
    except (httpx2.InvalidURL, ValueError):  # a UnicodeError is one
        url = httpx2.URL()
    if not url.host or (url.port is not None and not 0 < url.port < 1 << 16):
        # Not in full: its query may be signed.
        raise ValueError(f"{text.partition('?')[0][:80]!r} is no URL")
    return url
