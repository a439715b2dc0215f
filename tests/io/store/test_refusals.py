"""Buckets whose servers refuse, do not answer, or contradict themselves, each a server of a few lines."""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.limits import Limit
from dag.core.store.buckets import Bucket
from dag.errors import InfrastructureError
from dag.io.store.buckets.opening import open_bucket
from dag.io.store.buckets.refusals import bucket_error
from dag.io.store.local import Store
from dag.io.store.objects import BucketObjects, Objects, StoreError, insist, update
from dag.io.store.ownkey import identity_of
from tests.support.faults import Answer, Incoming, Origin

SMALL = Limit("an object of a test", 1 << 20)
SECRET = "a-secret-that-nothing-may-show"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")


def opened(kind: str, url: str, monkeypatch: pytest.MonkeyPatch) -> Objects:
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AZURE_STORAGE_ENDPOINT": f"{url}/account",
        "STORAGE_EMULATOR_HOST": url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return open_bucket(Bucket.parse(f"{kind}://with.dots"), os.environ)


def refusal(code: str, message: str, more: str = "") -> bytes:
    # As Amazon writes it: the first line says nothing.
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    text = escape(message)
    return f"{head}<Error><Code>{code}</Code><Message>{text}</Message>{more}</Error>".encode()


REFUSALS = [
    (403, "RequestTimeTooSkewed", "The difference is too large.", "", "set the clock"),
    (400, "ExpiredToken", "The provided token has expired.", "", "log in again"),
    (403, "SignatureDoesNotMatch", 'Is "it" your key?', "", "does not know the key"),
    (413, "EntityTooLarge", "That is too large.", "", "let who runs it raise the limit"),
    (403, "AccessDenied", "Access Denied", "", "may they read and write"),
    (
        400,
        "AuthorizationHeaderMalformed",
        "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
        "<Region>eu-west-1</Region>",
        "$AWS_REGION must name the region of that bucket, which is eu-west-1",
    ),
]


@pytest.mark.parametrize("kind", ["s3", "az"])
@pytest.mark.parametrize(("status", "code", "message", "more", "hint"), REFUSALS)
def test_a_refusal_is_told_in_the_servers_words_with_what_to_do(
    kind: str,
    status: int,
    code: str,
    message: str,
    more: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Origin() as origin:
        origin.on(times=None).answer(status, {}, refusal(code, message, more))
        store = opened(kind, origin.url, monkeypatch)
        for ask in (lambda: store.read("a/b", SMALL), lambda: list(store.list("a"))):
            with pytest.raises(StoreError) as caught:
                ask()
            assert caught.value.message.startswith(f"{kind}://with.dots: ")
            assert caught.value.message.endswith(f"{code}: {message}")
            assert hint in (caught.value.hint or "")


def test_the_limit_of_a_proxy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Origin() as origin:
        page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
        origin.on("PUT", times=None).answer(413, {}, page)
        store = opened("s3", origin.url, monkeypatch)
        with pytest.raises(StoreError, match=r": 413 Payload Too Large$") as caught:
            store.write("a/b", b"x")
    assert "client_max_body_size" in (caught.value.hint or "")


def test_a_server_that_answers_with_web_pages_is_no_bucket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Origin() as origin:
        facts = {"Last-Modified": "Tue, 01 Dec 2026 00:00:00 GMT", "ETag": '"1"'}
        origin.on("GET", times=None).answer(200, facts, b"<!doctype html>")
        objects = opened("s3", origin.url, monkeypatch)
        bucket = BucketObjects("s3://with.dots", files=objects, state=objects)
        with pytest.raises(InfrastructureError) as caught:
            identity_of(Store(tmp_path, Arch.parse("x86_64"), bucket))
    assert "or of its console?" in (caught.value.hint or "")


def test_a_bucket_of_another_region_is_told_by_its_redirect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Origin() as origin:
        origin.on(times=None).answer(301, {"x-amz-bucket-region": "eu-west-1"})
        with pytest.raises(StoreError, match="region") as caught:
            opened("s3", origin.url, monkeypatch).read("a", SMALL)
        assert "$AWS_REGION" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["s3", "az"])
@pytest.mark.long
def test_why_nobody_answers_is_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="Connection refused") as caught:
        opened(kind, "http://127.0.0.1:1", monkeypatch).read("a", SMALL)
    assert "the network of this machine" in (caught.value.hint or "")
    with Origin(tls=True) as origin, pytest.raises(StoreError, match="not trusted") as caught:
        opened(kind, origin.url, monkeypatch).read("a", SMALL)
    assert "$SSL_CERT_FILE" in (caught.value.hint or "")


@pytest.mark.long
def test_a_write_that_another_one_delayed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[bool] = []

    def answer(request: Incoming) -> Answer:
        if request.method == "HEAD":
            facts = {"Last-Modified": "Tue, 01 Dec 2026 00:00:00 GMT", "ETag": '"1"'}
            return Answer.of(200, {**facts, "Content-Length": "1"}) if there else Answer.of(404)
        return Answer.of(200, {"ETag": '"1"'})

    with Origin() as origin:
        origin.handle("/with.dots/a", answer)
        conflict = refusal("ConditionalRequestConflict", "Please try again.")
        origin.on("PUT", times=2).answer(409, {}, conflict)
        store = opened("s3", origin.url, monkeypatch)
        assert store.create("a", b"mine")
        there.append(True)
        origin.on("PUT", times=None).answer(409, {}, conflict)
        assert not store.create("a", b"mine")
        there.clear()
        with pytest.raises(StoreError, match=r"s3://with\.dots/a: the server says both"):
            store.create("a", b"mine")


@pytest.mark.long
def test_an_object_that_is_listed_and_not_there_is_not_asked_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = {"name": "a", "bucket": "with.dots", "generation": "1", "size": "4"}

    def answer(request: Incoming) -> Answer:
        if "alt=media" in request.target:
            return Answer.of(404, body=b"No such object")
        return Answer.of(200, {"Content-Type": "application/json"}, json.dumps(facts).encode())

    with Origin() as origin:
        for path in ("/storage/v1/b/with.dots/o/a", "/download/storage/v1/b/with.dots/o/a"):
            origin.handle(path, answer)
        store = opened("gs", origin.url, monkeypatch)
        with pytest.raises(StoreError, match=r"gs://with\.dots/a: the server says both"):
            store.read("a", SMALL)


@pytest.mark.long
def test_a_server_that_refuses_the_version_that_it_gives_is_not_asked_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As behind a proxy that compresses: a weak ETag is never the same as any other.
    facts = {"Last-Modified": "Tue, 01 Dec 2026 00:00:00 GMT", "ETag": 'W/"1"'}
    with Origin() as origin:
        origin.handle("/with.dots/a", lambda _: Answer.of(200, facts, b"before"))
        refused = refusal("PreconditionFailed", "At least one of the pre-conditions did not hold")
        origin.on("PUT", times=None).answer(412, {}, refused)
        store = opened("s3", origin.url, monkeypatch)
        with pytest.raises(StoreError, match="refuses to replace the very version") as caught:
            insist(lambda: update(store, "a", SMALL, lambda found: (found or b"") + b" and after"))
        assert origin.count("PUT") == 9
    assert "ETags" in (caught.value.hint or "")


@pytest.mark.long
def test_a_server_that_refuses_what_it_says_is_not_there_is_not_asked_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Origin() as origin:
        origin.on("GET", times=None).answer(404, {}, b"No such object")
        origin.on("POST", times=None).answer(412, {}, b"conditionNotMet")
        store = opened("gs", origin.url, monkeypatch)
        with pytest.raises(StoreError, match=r"refuses to make what it says is not there, 9 times"):
            update(store, "a", SMALL, lambda _: b"new")


def test_who_waits_for_others_for_long_enough_does_not_begin_to_wait_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Origin() as origin:
        origin.on("GET", times=None).answer(404, {}, b"No such object")
        origin.on("POST", times=None).answer(412, {}, b"conditionNotMet")
        store = opened("gs", origin.url, monkeypatch)
        with pytest.raises(StoreError, match="could not be changed for 0 s"):
            insist(lambda: update(store, "a", SMALL, lambda _: b"new", patience=0))
        assert origin.count("POST") == 1


@pytest.mark.parametrize(
    ("variables", "words"),
    [({}, "the network of this machine"), ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "--reach")],
)
def test_a_server_to_which_no_way_leads_is_told_with_what_may_close_the_way(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    hint = bucket_error("s3://b", ValueError("HTTP error: error sending request")).hint
    assert words in (hint or "")
    assert "$AWS_ENDPOINT_URL" in (hint or "")
