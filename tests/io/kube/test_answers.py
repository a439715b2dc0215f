"""Something else answers in place of the API server: an error at first contact, and a wait later."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dag.core.limits import Limit
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.kubeconfig import connect
from dag.io.kube.watch import ObjectSeen, watch_objects
from dag.io.retries import RetryPolicy
from tests.support.faults import Origin
from tests.support.kubeconfigs import VERSION, credential, kubeconfig, plugin, printing

HTML = {"Content-Type": "text/html; charset=utf-8"}
LIST = json.dumps({"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": []}).encode()
PODS = "/api/v1/pods"

Answer = tuple[int, dict[str, str], bytes]
STRANGE: list[Answer] = [
    (200, HTML, b"<html>back soon</html>"),
    (200, HTML, VERSION),
    (200, {}, b"<html>back soon</html>"),
    (200, {}, b"\xff\xfe"),
    (200, {}, b""),
    (200, {}, b"{}"),
    (200, {}, b"[1]"),
    (200, {}, b"null"),
    (200, {}, b'{"kind": "Status", "status": "Success"}'),
    (200, {}, b"[" * 100_000),
    (200, {"Content-Encoding": "gzip"}, b"no gzip"),
    (302, {"Location": "/login"}, b""),
    (304, {}, b""),
]


@pytest.fixture
def api(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Origin:
    monkeypatch.setattr("dag.io.kube.api._RETRIES", RetryPolicy(first=0.01))
    origin.put("/version", VERSION)
    origin.put(PODS, LIST)
    return origin


@pytest.fixture
def reach(api: Origin, tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def reach(
        user: dict[str, Any] | None = None, told: list[str] | None = None
    ) -> AsyncIterator[Kube]:
        config = kubeconfig(tmp_path / "config", api.url, user)
        kube = Kube(connect(config), pytest.fail if told is None else told.append)
        try:
            yield kube
        finally:
            await kube.close()

    return reach


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"oops", "answers with HTTP 500: oops"),
        (503, b"", "answers with HTTP 503: Service Unavailable"),
        (
            500,
            b'{"message": "etcdserver: request timed out"}',
            "answers with HTTP 500: etcdserver:",
        ),
        (404, b"404 page not found", "answers with HTTP 404: 404 page not found"),
    ],
)
async def test_an_answer_that_helps_nobody_names_the_server_and_what_to_do(
    api: Origin, reach: Callable[..., Any], status: int, body: bytes, words: str
) -> None:
    api.on("GET", "/version", times=None).answer(status, {}, body)
    async with reach() as kube:
        with pytest.raises(ApiError) as caught:
            await kube.get("/version", patience=0)
    assert caught.value.message.startswith(f"{api.url} {words}")
    wanted = "ask who runs the cluster" if status >= 500 else "is the cluster up?"
    assert wanted in (caught.value.hint or "")


async def test_a_refusal_of_the_api_stays_in_its_own_words(
    api: Origin, reach: Callable[..., Any]
) -> None:
    api.on("GET", "/version").answer(404, {}, b'{"message": "pods is not there"}')
    async with reach() as kube:
        with pytest.raises(ApiError) as caught:
            await kube.get("/version")
    assert (caught.value.message, caught.value.hint) == ("pods is not there", None)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ('pods "x" is forbidden: failed quota: q: must specify limits.cpu', "LimitRange"),
        ("pods is forbidden: maximum cpu usage per Container is 1, but limit is 2", "--cpu"),
        ('pods "x" is forbidden: exceeded quota: q, requested: cpu=8', "describe quota"),
    ],
)
async def test_what_a_namespace_does_not_allow_is_told_with_what_may_help(
    api: Origin, reach: Callable[..., Any], message: str, hint: str
) -> None:
    api.on("GET", "/version").answer(403, {}, json.dumps({"message": message}).encode())
    async with reach() as kube:
        with pytest.raises(ApiError) as caught:
            await kube.get("/version")
    assert caught.value.message == message
    assert hint in (caught.value.hint or "")


async def test_an_object_that_is_not_there_is_no_error_for_who_looks_for_it(
    api: Origin, reach: Callable[..., Any]
) -> None:
    api.on("GET", "/version", nth=1).answer(404, {}, b'{"message": "it is not there"}')
    api.on("GET", "/version", nth=2).answer(403, {}, b'{"message": "it may not be read"}')
    async with reach() as kube:
        assert await kube.find("/version") is None
        with pytest.raises(ApiError, match="it may not be read"):
            await kube.find("/version")
        assert await kube.find("/version") == json.loads(VERSION)


async def test_an_answer_that_is_no_http_has_a_hint(api: Origin, reach: Callable[..., Any]) -> None:
    api.on("GET", "/version", times=None).answer(200, {"Content-Length": "many"}, b"")
    async with reach() as kube:
        with pytest.raises(ApiError) as caught:
            await kube.get("/version", patience=0)
    assert caught.value.message.startswith(f"{api.url}: ")
    assert "kubectl cluster-info" in (caught.value.hint or "")


async def test_a_pod_that_gets_no_answer_is_told_what_may_close_the_way(
    api: Origin, reach: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    api.on("GET", "/version", times=None).answer(200, {"Content-Length": "many"}, b"")
    async with reach() as kube:
        with pytest.raises(ApiError) as caught:
            await kube.get("/version", patience=0)
    assert "NetworkPolicy" in (caught.value.hint or "")


async def test_a_server_that_says_when_to_come_back_is_asked_then(
    api: Origin, reach: Callable[..., Any]
) -> None:
    busy = b'{"kind": "Status", "message": "too many requests", "reason": "TooManyRequests"}'
    api.on("GET", "/version").answer(429, {"Retry-After": "1"}, busy)
    async with reach() as kube:
        began = time.monotonic()
        # What the server asks for does not count for the patience with it.
        assert await kube.get("/version", patience=0.5) == json.loads(VERSION)
        assert time.monotonic() - began >= 1
        api.on("GET", "/version", times=None).answer(429, {"Retry-After": "86400"}, busy)
        with pytest.raises(ApiError, match="too many requests") as caught:
            await kube.get("/version", patience=0.1)
    assert caught.value.retry_after == 86400


async def test_a_cluster_whose_ca_is_another_one_is_told_at_once(tmp_path: Path) -> None:
    with Origin(tls=True) as api:
        kube = Kube(connect(kubeconfig(tmp_path / "config", api.url)), pytest.fail)
        try:
            with pytest.raises(ApiError, match="verify failed: self-signed") as caught:
                await kube.get("/version", patience=600)
        finally:
            await kube.close()
    assert caught.value.message.startswith(api.url)
    assert "get its kubeconfig again" in (caught.value.hint or "")


@pytest.mark.parametrize("answer", STRANGE)
async def test_no_api_server_at_first_contact(
    api: Origin, reach: Callable[..., Any], answer: Answer
) -> None:
    api.on("GET", "/version", times=None).answer(*answer)
    async with reach() as kube:
        with pytest.raises(ApiError, match="does not answer like a Kubernetes API") as caught:
            await kube.get("/version")
    assert caught.value.message.startswith(api.url)
    assert "`server:`" in (caught.value.hint or "")
    assert caught.value.exit_code == 3
    assert api.count("GET", "/version") == 1


@pytest.mark.parametrize("answer", STRANGE)
async def test_no_api_server_for_a_while(
    api: Origin, reach: Callable[..., Any], answer: Answer
) -> None:
    told: list[str] = []
    async with reach(told=told) as kube:
        await kube.get("/version")
        api.on("GET", "/version", nth=1).answer(*answer)
        assert await kube.get("/version") == json.loads(VERSION)
    assert "does not answer like a Kubernetes API" in told[0]
    assert "answers again" in told[1]
    assert len(told) == 2


async def test_no_api_server_for_good(api: Origin, reach: Callable[..., Any]) -> None:
    async with reach(told=[]) as kube:
        await kube.get("/version")
        api.on("GET", "/version", times=None).answer(200, HTML, b"<html>")
        with pytest.raises(ApiError, match="does not answer like a Kubernetes API"):
            await kube.get("/version", patience=0.1)


@pytest.mark.parametrize(
    "body",
    [
        VERSION,
        b'{"kind": "PodList"}',
        b'{"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [1]}',
        b'{"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {}}]}',
    ],
)
async def test_what_is_no_list_is_asked_for_again(
    api: Origin, reach: Callable[..., Any], body: bytes
) -> None:
    async with reach(told=[]) as kube:
        await kube.get("/version")
        api.on("GET", PODS, nth=1).answer(200, body=body)
        assert await kube.items(PODS, labelSelector="a=b") == []


@pytest.mark.parametrize("body", [VERSION, b'{"kind": "Status", "metadata": {}}'])
async def test_what_is_no_object(api: Origin, reach: Callable[..., Any], body: bytes) -> None:
    api.on(path="/namespaces", times=None).answer(200, body=body)
    async with reach() as kube:
        with pytest.raises(ApiError, match="no Kubernetes object"):
            await kube.get("/api/v1/namespaces/one")
        with pytest.raises(ApiError, match="what came is no SelfSubjectReview"):
            await kube.post("/api/v1/namespaces", {"kind": "SelfSubjectReview"})
        with pytest.raises(ApiError, match="not the list"):
            await kube.items("/api/v1/namespaces")


def pod(name: str, version: str) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"uid": name, "name": name, "resourceVersion": version}}


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"{}",
        b"[]",
        b"1",
        b'{"type": "ADDED"}',
        b'{"type": "ADDED", "object": 1}',
        b'{"type": "ADDED", "object": {"metadata": {}}}',
        b'{"type": "ERROR", "object": null}',
        b'{"type": "ERROR", "object": {}}',
        b'{"type": "ERROR", "object": {"code": "x", "message": 1}}',
    ],
)
async def test_a_watch_that_is_none(api: Origin, reach: Callable[..., Any], line: bytes) -> None:
    event = json.dumps({"type": "ADDED", "object": pod("one", "8")}).encode()
    api.on("GET", "watch=true", nth=1).answer(200, body=line + b"\n" + event + b"\n")
    api.on("GET", "watch=true", nth=2).answer(200, body=event + b"\n")
    async with reach() as kube:
        seen = (one async for one in watch_objects(kube, PODS) if isinstance(one, ObjectSeen))
        async for change in seen:
            assert change.item["metadata"]["name"] == "one"
            break
    assert api.count("GET", "watch=true") == 2


async def test_a_plugin_that_fails_once_in_between(
    api: Origin, reach: Callable[..., Any], tmp_path: Path
) -> None:
    works = printing(credential("open-sesame"))
    runs = f"echo x >>{tmp_path}/runs; [ $(wc -l <{tmp_path}/runs) = 2 ] && exit 1\n{works}"
    told: list[str] = []
    async with reach(plugin(tmp_path / "plugin", runs), told) as kube:
        await kube.get("/version")
        api.on("GET", "/version", times=2).answer(401)
        await kube.get("/version")
    assert "the credential plugin" in told[0]
    assert "answers again" in told[1]
    assert (tmp_path / "runs").read_text() == "x\n" * 3


async def test_a_plugin_that_fails_at_first(
    api: Origin, reach: Callable[..., Any], tmp_path: Path
) -> None:
    script = f"echo x >>{tmp_path}/runs; exit 1"
    async with reach(plugin(tmp_path / "plugin", script)) as kube:
        with pytest.raises(ApiError, match="ended with 1"):
            await kube.get("/version")
    assert (tmp_path / "runs").read_text() == "x\n"


async def test_an_answer_without_an_end_is_not_read_to_it(
    api: Origin, reach: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.io.kube.api.KUBERNETES_ANSWER", Limit("an answer", 1 << 20))
    api.endless(PODS)
    async with reach() as kube:
        with pytest.raises(
            ApiError, match=f"{PODS} has more than 1 MiB, .* the limit of an answer"
        ):
            await kube.items(PODS)
