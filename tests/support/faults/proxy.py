"""A proxy that passes requests on to a real server, and its answers back, piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import h11
import yaml

from tests.support.faults.server import Server
from tests.support.faults.wire import Answer, Framing, Incoming, Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.faults.connection import Backend

_NOT_PASSED_ON = {
    "expect",  # the proxy itself says "100 Continue"
    "upgrade",  # no tunnels: what flows through one could not be counted or cut
}


class FaultProxy(Server):
    """A proxy between a client and the server at `upstream` (scheme, host and port).

    `tls` is for the side of the client: the proxy then has a certificate of its own, `ca_file`. If
    the upstream speaks TLS, `upstream_ca` is the certificate to trust; without it, none is
    verified. Client certificates cannot pass; tokens can.
    """

    def __init__(
        self,
        upstream: str,
        *,
        tls: bool = False,
        upstream_ca: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(host=host, port=port, tls=tls)
        parts = urlsplit(upstream)
        self._upstream_host = parts.hostname or "127.0.0.1"
        self._upstream_port = parts.port or (443 if parts.scheme == "https" else 80)
        self._upstream_context: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._upstream_context = ssl.create_default_context(cafile=upstream_ca)
            self._upstream_context.set_alpn_protocols(["http/1.1"])
            if upstream_ca is None:
                self._upstream_context.check_hostname = False
                self._upstream_context.verify_mode = ssl.CERT_NONE

    def write_kubeconfig(self, source: Path, target: Path) -> Path:
        """Copy the kubeconfig `source` to `target`, with this proxy in place of every server."""
        config = yaml.safe_load(source.read_text())
        for cluster in config["clusters"]:
            cluster["cluster"] = {"server": self.url}
            if self.ca_file:
                cluster["cluster"]["certificate-authority"] = str(self.ca_file)
        target.write_text(yaml.safe_dump(config))
        target.chmod(0o600)
        return target

    async def connect(self) -> Peer:
        """Open a connection to the upstream server."""
        reader, writer = await asyncio.open_connection(
            self._upstream_host, self._upstream_port, ssl=self._upstream_context
        )
        return Peer(h11.CLIENT, reader, writer)

    def _backend(self) -> Backend:
        return _Upstream(self)


class _Upstream:
    """The upstream connection of one client's connection, kept open as long as both sides want."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._peer: Peer | None = None
        self._sending: asyncio.Task[None] | None = None

    async def perform(self, request: Incoming, upload: AsyncIterator[bytes]) -> Answer:
        if self._peer is None or self._peer.stale:
            self.reset()
            self._peer = await self._proxy.connect()
        peer = self._peer
        headers = [pair for pair in request.headers if pair[0].lower() not in _NOT_PASSED_ON]
        # Host stays that of the proxy, so that a Location made from it leads back here.
        headers.append(("X-Forwarded-Proto", urlsplit(self._proxy.url).scheme))
        head = h11.Request(method=request.method, target=request.target, headers=headers)
        await peer.write(peer.parser.send(head) or b"")
        # A server may answer before it has read everything, so both directions run at the same
        # time.
        self._sending = asyncio.create_task(self._send(peer, upload))
        while isinstance(event := await peer.event(), h11.InformationalResponse):
            pass
        if not isinstance(event, h11.Response):
            raise h11.RemoteProtocolError("no answer")
        return _answer(request, event, peer)

    async def _send(self, peer: Peer, upload: AsyncIterator[bytes]) -> None:
        listening = True
        async for piece in upload:
            if listening:
                try:
                    await peer.write(peer.parser.send(h11.Data(data=piece)) or b"")
                except (OSError, h11.LocalProtocolError):
                    listening = False  # the rest is read and dropped, as servers do
        if listening:
            with contextlib.suppress(OSError, h11.LocalProtocolError):
                await peer.write(peer.parser.send(h11.EndOfMessage()) or b"")

    async def finish(self) -> None:
        if self._sending:
            await self._sending
        peer = self._peer
        if peer and peer.parser.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            peer.restart()
        else:
            self.reset()

    def reset(self) -> None:
        if self._sending and not self._sending.done():
            # The task that is to be cancelled may be this one.
            if self._sending is not asyncio.current_task():
                self._sending.cancel()
        elif self._sending and not self._sending.cancelled():
            self._sending.exception()  # it has ended, and what ended it need not be reported
        if self._peer:
            self._peer.reset()
            self._peer = None


def _answer(request: Incoming, response: h11.Response, peer: Peer) -> Answer:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in response.headers.raw_items()
    ]
    names = {name.lower() for name, _ in headers}
    framing: Framing = "close"
    if request.method == "HEAD" or response.status_code in (204, 304) or "content-length" in names:
        framing = "length"
    if "transfer-encoding" in names:
        framing = "chunked"
        headers = [pair for pair in headers if pair[0].lower() != "transfer-encoding"]

    async def body() -> AsyncIterator[bytes]:
        while isinstance(event := await peer.event(), h11.Data):
            yield bytes(event.data)

    return Answer(status=response.status_code, headers=tuple(headers), body=body, framing=framing)
