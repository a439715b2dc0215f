"""A distribution of which a cluster can fetch nothing but through a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from cluster.config import HOST_ADDRESS
from examples.layout import lay_out
from examples.sources import SourceServer
from tests.support.forwarding import Forwarder
from tests.support.serving import serving

SOURCES, PACKAGES = "sources.invalid", "packages.invalid"
"""Hosts that only the proxy knows, and that only listen to this machine."""


@dataclass(frozen=True)
class Proxied:
    """A distribution behind a proxy."""

    directory: Path
    proxy: Forwarder

    @property
    def url(self) -> str:
        return f"http://{self.proxy.place}"

    @property
    def environment(self) -> dict[str, str]:
        """Return what leads the client through the same proxy, which asks for indexes, too."""
        return {"HTTP_PROXY": self.url}

    def fetched(self, begin: str) -> bool:
        """Return whether somebody asked the proxy for a URL that begins so."""
        return any(line.startswith(f"GET http://{begin}") for line in self.proxy.lines)


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def behind_proxy(directory: Path) -> Iterator[Proxied]:
    """Lay out the example distribution; its sources and its repository are behind a proxy."""
    lay_out(directory, source_url=f"http://{SOURCES}")
    repository = (directory / "bootstrap").rename(directory.parent / "bootstrap")
    settings = directory / "dag.toml"
    settings.write_text(
        settings.read_text()
        .replace('"bootstrap', f'"http://{PACKAGES}')
        .replace("/bootstrap/", "/")
    )
    with (
        SourceServer(host="127.0.0.1", port=0) as server,
        serving(partial(_Files, directory=repository)) as port,
        Forwarder(
            host=HOST_ADDRESS,
            places={SOURCES: int(server.url.rpartition(":")[2]), PACKAGES: port},
        ) as proxy,
    ):
        yield Proxied(directory, proxy)
