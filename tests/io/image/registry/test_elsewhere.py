"""The registry client, if a registry leads it elsewhere."""

from __future__ import annotations

import pytest

from dag.io.image.registry.refusals import RegistryError
from dag.io.image.registry.repository import ImageRepository, resolve
from dag.io.image.registry.requests import RegistryTransport
from tests.support.faults import Origin
from tests.support.uploads import DATA, Waits, blob, host_of, upload

pytestmark = pytest.mark.usefixtures("no_credentials")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_upload_is_done_whatever_success_a_registry_calls_it(status: int) -> None:
    with Origin() as origin:
        origin.on("POST", "uploads").answer(202, {"Location": "/up?state=a%2Fb"})
        origin.on("PUT", "^/up").answer(status)
        with RegistryTransport(host_of(origin)) as transport:
            assert upload(ImageRepository(transport, "a", writes=True)) == len(DATA)
        asked = origin.exchanges[-1].request.target
    assert asked == f"/up?state=a%2Fb&digest={blob(DATA).digest.replace(':', '%3A')}"


@pytest.mark.parametrize("to", ["http://storage.example/x?state=signed", "ftp://127.0.0.1/x"])
def test_nothing_is_uploaded_to_where_others_could_read_it(to: str) -> None:
    with Origin() as origin:
        origin.on("POST", "uploads").answer(202, {"Location": to})
        with RegistryTransport(host_of(origin)) as transport:
            repository = ImageRepository(transport, "a", writes=True)
            with pytest.raises(
                RegistryError, match=r"wants what is uploaded at .*without https"
            ) as caught:
                upload(repository)
    assert "signed" not in caught.value.message
    assert "X-Forwarded-Proto" in (caught.value.hint or "")


def test_who_does_not_answer_is_named_with_the_registry_that_led_there() -> None:
    with Origin() as gone:
        elsewhere = gone.url
    with Origin() as origin:
        origin.on("POST", "uploads", times=None).answer(202, {"Location": f"{elsewhere}/up"})
        with RegistryTransport(host_of(origin), sleep=Waits()) as transport:
            repository = ImageRepository(transport, "a", writes=True)
            with pytest.raises(RegistryError) as caught:
                upload(repository)
        asked, led = elsewhere.removeprefix("http://"), host_of(origin)
    assert caught.value.message.startswith(
        f"{asked}, to which registry {led} leads, cannot be reached: "
    )
    assert "pass on the Host that it was asked for" in (caught.value.hint or "")


def test_redirects_have_an_end() -> None:
    with Origin() as origin:
        origin.redirect("/v2/a/manifests/1", f"{origin.url}/v2/a/manifests/1")
        with pytest.raises(RegistryError, match="redirected again and again") as caught:
            resolve(f"{host_of(origin)}/a:1")
    assert "ask who runs it" in (caught.value.hint or "")


@pytest.mark.parametrize("to", ["http://storage.example/x", "ftp://127.0.0.1/x"])
def test_a_redirect_away_from_https_is_refused(to: str) -> None:
    with Origin() as origin:
        origin.redirect("/v2/a/manifests/1", to)
        with pytest.raises(RegistryError, match="without https"):
            resolve(f"{host_of(origin)}/a:1")
