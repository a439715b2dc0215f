"""A hostile origin does to real clients what its rules say."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.support.faults import Origin

if TYPE_CHECKING:
    pass

DATA = bytes(range(256)) * 64


def test_a_file_comes_as_it_was_put_and_nothing_else_is_there(origin: Origin) -> None:
    response = httpx2.get(origin.put("/file", DATA) + "?query")
    assert response.content == DATA
    assert response.headers["accept-ranges"] == "bytes"
    assert httpx2.get(f"{origin.url}/other").status_code == 404


def test_a_length_that_promises_too_much(origin: Origin) -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete"):
        httpx2.get(origin.put("/file", DATA, length=len(DATA) + 5))


def test_a_length_that_promises_too_little(origin: Origin) -> None:
    assert httpx2.get(origin.put("/file", DATA, length=100)).content == DATA[:100]


def test_a_body_without_end(origin: Origin) -> None:
    seen = 0
    with httpx2.stream("GET", origin.endless("/file")) as response:
        for piece in response.iter_raw():
            seen += len(piece)
            if seen > 10_000_000:
                break
    assert seen > 10_000_000


def test_an_endless_body_is_cut_by_leaving(origin: Origin) -> None:
    origin.endless("/file", length=10)
    assert httpx2.get(f"{origin.url}/file").content == bytes(10)


def test_a_part_is_served_only_of_the_file_that_is_meant(origin: Origin) -> None:
    url = origin.put("/file", DATA)
    etag = httpx2.head(url).headers["etag"]
    part = httpx2.get(url, headers={"Range": "bytes=1000-", "If-Range": etag})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"
    assert part.content == DATA[1000:]
    changed = httpx2.get(url, headers={"Range": "bytes=1000-", "If-Range": '"older"'})
    assert (changed.status_code, changed.content) == (200, DATA)
    beyond = httpx2.get(url, headers={"Range": f"bytes={len(DATA)}-"})
    assert beyond.status_code == 416


def test_ranges_that_are_ignored_or_wrong(origin: Origin) -> None:
    span = {"Range": "bytes=10-19"}
    ignored = httpx2.get(origin.put("/ignored", DATA, ranges="ignored"), headers=span)
    assert (ignored.status_code, ignored.content) == (200, DATA)
    shifted = httpx2.get(origin.put("/shifted", DATA, ranges="shifted"), headers=span)
    assert shifted.headers["content-range"] == f"bytes 10-19/{len(DATA)}"
    assert shifted.content == DATA[11:21]


def test_gzip_in_transit_that_nobody_asked_for(origin: Origin) -> None:
    url = origin.put("/file.tar", DATA, gzipped=True)
    with httpx2.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
        assert response.headers["content-encoding"] == "gzip"
        raw = b"".join(response.iter_raw())
    assert gzip.decompress(raw) == DATA


def test_a_redirect_may_lead_to_a_file_in_a_circle_or_elsewhere(origin: Origin) -> None:
    origin.put("/file", DATA)
    assert httpx2.get(origin.redirect("/moved", "/file"), follow_redirects=True).content == DATA
    loop = origin.redirect("/loop", "/loop", status=307)
    with pytest.raises(httpx2.TooManyRedirects):
        httpx2.get(loop, follow_redirects=True)
    other = httpx2.get(origin.redirect("/away", "file:///etc/passwd"))
    assert other.headers["location"] == "file:///etc/passwd"


def test_rules_apply_here_too(origin: Origin) -> None:
    url = origin.put("/file", DATA)
    origin.on("GET", "/file", times=2).reset(after=1000)
    for _ in range(2):
        with pytest.raises(httpx2.ReadError):
            httpx2.get(url)
    assert httpx2.get(url).content == DATA
    assert origin.sent() == 2000 + len(DATA)


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_comes_while_the_server_goes_is_reset(turns: int) -> None:
    with Origin() as server:

        async def come_and_go() -> socket.socket:
            client = socket.create_connection(("127.0.0.1", server.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            await server._down(cut=True)
            return client

        with asyncio.run_coroutine_threadsafe(come_and_go(), server._loop).result(30) as client:
            client.settimeout(10)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    gc.collect()  # what is forgotten there fails this test
