"""A proxy that wants a login is told as that by whoever meets it, and not asked for long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.store.buckets import Bucket
from dag.errors import DagError
from dag.io.image.registry.repository import resolve
from dag.io.package.apkindex import repository
from dag.io.sources.cache import Cache
from dag.io.store.buckets.opening import open_bucket
from tests.support.checkouts import failure, step
from tests.support.forwarding import Forwarder
from tests.support.kubeconfigs import ask, kubeconfig

HINT = "the proxy wants a login, which http://USER:PASSWORD@HOST:PORT in its variable is"
SERVER = "server.invalid"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forwarder]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with Forwarder(answer) as started:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://{started.place}")
        yield started


def ask_bucket(scheme: str) -> None:
    os.environ["AWS_ENDPOINT_URL"] = f"{scheme}://{SERVER}"
    open_bucket(Bucket.parse("s3://bucket"), os.environ).look("a")


def ask_kubernetes(directory: Path) -> None:
    asyncio.run(ask(kubeconfig(directory / "config", f"https://{SERVER}")))


ASKED: dict[str, Callable[[Path], object]] = {
    "a registry": lambda _: resolve(f"{SERVER}/a:1"),
    "a repository": lambda _: repository([f"http://{SERVER}/os"], Arch.parse("x86_64")),
    "a repository with TLS": lambda _: repository([f"https://{SERVER}/os"], Arch.parse("x86_64")),
    "a bucket": lambda _: ask_bucket("http"),
    "a bucket with TLS": lambda _: ask_bucket("https"),
    "a cluster": ask_kubernetes,
}


@pytest.mark.long
@pytest.mark.parametrize("what", ASKED)
def test_a_proxy_that_wants_a_login_is_told(
    proxy: Forwarder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "word")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(DagError) as caught:
        ASKED[what](tmp_path)
    assert HINT in f"{caught.value.message} {caught.value.hint}"
    if "bucket" not in what:  # there the library asks again by itself, and shows no status
        assert "407" in caught.value.message
        assert len(proxy.lines) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_git_meets_a_proxy_that_wants_a_login(proxy: Forwarder, cache: Cache, scheme: str) -> None:
    said = failure(cache, step(f"{scheme}://{SERVER}/a", "1" * 40, tag="v1"))
    assert HINT in said
    assert len(proxy.lines) <= 2
