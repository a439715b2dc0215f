"""A real client meets each fault, with an honest server behind the proxy."""

from __future__ import annotations

import asyncio
import queue
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
import yaml

from tests.support.faults import Answer, FaultProxy, Incoming, Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

DATA = bytes(range(256)) * 64
ROOT = Path(__file__).parents[3]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        server.put("/data", DATA)
        server.handle("/upload", lambda _: Answer.of(201))
        yield server


@pytest.fixture
def proxy(origin: Origin) -> Iterator[FaultProxy]:
    with FaultProxy(origin.url) as server:
        yield server


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=proxy.url) as made:
        yield made


class Tap:
    """A body that a test lets out piece by piece; None ends it."""

    def __init__(self, origin: Origin) -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._origin = origin
        origin.handle("/watch", lambda _: Answer(status=200, body=self._body, framing="chunked"))

    def put(self, piece: bytes | None) -> None:
        self._origin._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    async def _body(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece


def test_without_rules_everything_passes_and_is_counted(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client
) -> None:
    assert client.get("/data").content == DATA
    assert client.get("/data", headers={"Range": "bytes=10-19"}).content == DATA[10:20]
    assert client.head("/data").headers["content-length"] == str(len(DATA))
    assert client.post("/upload", content=DATA).status_code == 201
    assert client.put("/upload", content=iter([b"ab", b"c"])).status_code == 201
    assert client.get("/nowhere").status_code == 404
    assert proxy.live == origin.live == 1, "one connection was kept open on either side"
    assert proxy.count() == origin.count() == 6
    assert proxy.count("GET", "/data") == 2
    assert proxy.sent("GET", "/data") == len(DATA) + 10
    assert proxy.received("POST") == origin.received("POST") == len(DATA)
    assert proxy.received("PUT", "^/upload$") == 3
    assert all(exchange.done for exchange in proxy.exchanges)


def test_chunks_of_a_stream_pass_at_once(origin: Origin, client: httpx2.Client) -> None:
    tap = Tap(origin)
    with client.stream("GET", "/watch") as response:
        pieces = response.iter_raw()
        for piece in (b'{"type":"ADDED"}\n', b"x", b"last"):
            tap.put(piece)
            assert next(pieces) == piece
        tap.put(None)
        assert next(pieces, None) is None


def test_a_client_that_leaves_ends_the_stream_at_the_server(
    origin: Origin, proxy: FaultProxy
) -> None:
    Tap(origin)
    with httpx2.Client(base_url=proxy.url) as client, client.stream("GET", "/watch"):
        assert origin.live == 1
    for _ in range(1000):
        if origin.live == proxy.live == 0:
            break
        threading.Event().wait(0.01)
    assert origin.live == proxy.live == 0


def test_refuse_closes_before_the_server_hears_of_it(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client
) -> None:
    rule = proxy.on("GET", "/data", nth=2).refuse()
    assert client.get("/data").status_code == 200
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get("/data")
    rule.wait()
    assert client.get("/data").status_code == 200
    assert (proxy.count(), origin.count()) == (3, 2)
    assert (rule.seen, rule.fired) == (3, 1)


def test_reset_is_a_real_reset(origin: Origin, proxy: FaultProxy) -> None:
    proxy.on("GET").reset()
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall(b"GET /data HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert origin.count() == 0


def test_reset_in_the_middle_of_an_answer(proxy: FaultProxy, client: httpx2.Client) -> None:
    proxy.on("GET").reset(after=1000)
    with client.stream("GET", "/data") as response:
        assert response.headers["content-length"] == str(len(DATA))
        with pytest.raises(httpx2.ReadError):
            response.read()
    assert proxy.sent() == 1000


@pytest.mark.parametrize("path", ["/data", "/chunked"])
def test_truncate_keeps_exactly_so_many_bytes(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client, path: str
) -> None:
    origin.put("/chunked", DATA, chunked=True)
    proxy.on("GET", path).truncate(1000)
    got: list[bytes] = []
    with client.stream("GET", path) as response, pytest.raises(httpx2.RemoteProtocolError):
        got.extend(response.iter_raw())
    assert b"".join(got) == DATA[:1000]
    assert client.get(path).content == DATA, "only the first request was hit"


def test_stall_holds_until_it_is_released(proxy: FaultProxy, client: httpx2.Client) -> None:
    rule = proxy.on("GET").stall()
    answers: queue.Queue[httpx2.Response] = queue.Queue()
    thread = threading.Thread(target=lambda: answers.put(client.get("/data")))
    thread.start()
    rule.wait()
    assert answers.empty()
    rule.release()
    assert answers.get(timeout=10).content == DATA
    thread.join()


async def test_stall_in_the_middle_of_an_answer(proxy: FaultProxy) -> None:
    rule = proxy.on("GET").stall(after=100)
    async with (
        httpx2.AsyncClient(base_url=proxy.url) as client,
        client.stream("GET", "/data") as response,
    ):
        pieces = response.aiter_raw()
        assert await anext(pieces) == DATA[:100]
        await rule.reached()
        rule.release()
        assert b"".join([piece async for piece in pieces]) == DATA[100:]


def test_a_client_gives_up_on_a_stall(proxy: FaultProxy, client: httpx2.Client) -> None:
    proxy.on("GET", times=None).stall()
    with pytest.raises(httpx2.ReadTimeout):
        client.get("/data", timeout=0.05)


def test_delay_passes_the_request_on_later(proxy: FaultProxy, client: httpx2.Client) -> None:
    proxy.on("GET").delay(0.05)
    response = client.get("/data")
    assert response.content == DATA
    assert response.elapsed.total_seconds() >= 0.05


def test_answers_in_the_server_s_place(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client
) -> None:
    proxy.on("POST", "/upload", times=2).answer(503, {"Retry-After": "1"}, b"later")
    for _ in range(2):
        response = client.post("/upload", content=DATA)
        assert (response.status_code, response.content) == (503, b"later")
        assert response.headers["retry-after"] == "1"
    assert origin.count() == 0
    assert client.post("/upload", content=DATA).status_code == 201
    assert proxy.received() == 3 * len(DATA)


def test_raw_bytes_are_not_even_http(proxy: FaultProxy, client: httpx2.Client) -> None:
    proxy.on("GET").raw(b"SSH-2.0-surprise\r\n")
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get("/data")


def test_a_lost_answer_was_performed(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client
) -> None:
    proxy.on("POST").lose_answer()
    with pytest.raises(httpx2.RemoteProtocolError):
        client.post("/upload", content=DATA)
    assert origin.exchanges[0].done
    assert origin.received("POST") == len(DATA)
    assert proxy.exchanges[0].status is None


def test_an_upload_is_cut_in_the_middle(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client
) -> None:
    rule = proxy.on("POST").cut_upload(after=5000)
    with pytest.raises((httpx2.WriteError, httpx2.ReadError)):
        client.post("/upload", content=DATA)
    rule.wait()
    assert proxy.received() == 5000
    assert not origin.exchanges or not origin.exchanges[0].done


def test_call_runs_the_test_s_own_function_first(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client
) -> None:
    proxy.on("GET").call(lambda: origin.put("/data", b"changed meanwhile"))
    assert client.get("/data").content == b"changed meanwhile"


def test_a_rule_can_ask_for_a_header(proxy: FaultProxy, client: httpx2.Client) -> None:
    proxy.on("GET", header=("Authorization", "^Bearer old$")).answer(401)
    assert client.get("/data").status_code == 200
    assert client.get("/data", headers={"authorization": "Bearer old"}).status_code == 401


def test_cut_resets_live_streams_on_both_sides(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client
) -> None:
    tap = Tap(origin)
    with client.stream("GET", "/watch") as response:
        pieces = response.iter_raw()
        tap.put(b"first")
        assert next(pieces) == b"first"
        proxy.cut()
        with pytest.raises(httpx2.ReadError):
            next(pieces)
    assert proxy.live == 0
    assert client.get("/data").content == DATA, "new connections are welcome"


def test_down_refuses_connections_until_up(proxy: FaultProxy, client: httpx2.Client) -> None:
    for _ in range(3):
        assert client.get("/data").status_code == 200
        proxy.down()
        with pytest.raises(httpx2.ConnectError, match="refused"):
            client.get("/data")
        proxy.up()
    assert client.get("/data").status_code == 200


def test_a_server_that_is_not_there_is_a_reset() -> None:
    with Origin() as gone:
        pass
    with FaultProxy(gone.url) as proxy, pytest.raises(httpx2.ReadError):
        httpx2.get(proxy.url)


def test_tls_on_both_sides(tmp_path: Path) -> None:
    with Origin(tls=True) as origin:
        origin.put("/data", DATA)
        with FaultProxy(origin.url, tls=True, upstream_ca=origin.ca_file) as proxy:
            context = ssl.create_default_context(cafile=proxy.ca_file)
            with httpx2.Client(base_url=proxy.url, verify=context) as client:
                assert client.get("/data").content == DATA
                proxy.on("GET").truncate(10)
                with pytest.raises(httpx2.RemoteProtocolError):
                    client.get("/data")
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                httpx2.get(proxy.url)
        with FaultProxy(origin.url) as proxy:
            assert httpx2.get(f"{proxy.url}/data").content == DATA, "not verified without a CA"
        with (
            FaultProxy(origin.url, upstream_ca=_other_authority(tmp_path)) as proxy,
            pytest.raises(httpx2.ReadError),
        ):
            httpx2.get(f"{proxy.url}/data")


@pytest.fixture(scope="session")
def curl() -> str:
    """Install curl, and return its name."""
    subprocess.run([ROOT / "scripts/apt", "curl"], check=True)
    return "curl"


@pytest.mark.installs
def test_a_reset_under_tls(curl: str) -> None:
    with Origin(tls=True) as origin:
        url = origin.put("/data", DATA)
        origin.on("GET", times=None).reset(after=10)
        # Python's ssl takes the reset for an end of file; curl tells them apart.
        with pytest.raises(httpx2.TransportError):
            httpx2.get(url, verify=ssl.create_default_context(cafile=origin.ca_file))
        command = [curl, "--silent", "--show-error", "--cacert", str(origin.ca_file), url]
        got = subprocess.run(command, check=False, capture_output=True)
        assert got.returncode == 56
        assert b"Connection reset by peer" in got.stderr


def _other_authority(directory: Path) -> Path:
    with Origin(tls=True) as other:
        assert other.ca_file
        return other.ca_file.rename(directory / "other.pem")


@pytest.mark.installs
def test_curl_sees_the_same(proxy: FaultProxy, curl: str) -> None:
    def ended(*options: str) -> int:
        command = [curl, "--silent", "--output", "/dev/null", *options, f"{proxy.url}/data"]
        return subprocess.run(command, check=False).returncode

    # Exit codes: https://curl.se/docs/manpage.html#EXIT
    assert ended() == 0
    proxy.on("GET").refuse()
    assert ended() == 52
    proxy.on("GET").truncate(9)
    assert ended() == 18
    proxy.on("GET").reset(after=9)
    assert ended() == 56
    proxy.on("PUT").answer(500)
    assert ended("--fail", "--upload-file", __file__, "--header", "Expect: 100-continue") == 22
    proxy.down()
    assert ended() == 7


def test_the_location_of_an_answer_leads_back_to_the_proxy(
    origin: Origin, proxy: FaultProxy, client: httpx2.Client
) -> None:
    def located(request: Incoming) -> Answer:
        scheme, host = request.header("x-forwarded-proto"), request.header("host")
        return Answer.of(202, {"Location": f"{scheme}://{host}/next"})

    origin.handle("/start", located)
    assert client.post("/start").headers["location"] == f"{proxy.url}/next"


def test_a_kubeconfig_is_pointed_at_the_proxy(proxy: FaultProxy, tmp_path: Path) -> None:
    old = {"server": "https://192.0.2.1:6443", "certificate-authority-data": "AAAA"}
    (tmp_path / "old").write_text(
        yaml.safe_dump({"clusters": [{"name": "c", "cluster": old}], "users": [{"name": "u"}]})
    )
    new = yaml.safe_load(proxy.write_kubeconfig(tmp_path / "old", tmp_path / "new").read_text())
    assert new["clusters"] == [{"name": "c", "cluster": {"server": proxy.url}}]
    assert new["users"] == [{"name": "u"}]


def test_waiting_for_a_fault_that_does_not_come_says_so(proxy: FaultProxy) -> None:
    rule = proxy.on("GET", "/never").refuse()
    with pytest.raises(TimeoutError, match="GET /never was seen 0 times"):
        rule.wait(timeout=0.01)
