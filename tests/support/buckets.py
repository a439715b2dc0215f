"""Object stores of every kind, each a process on loopback or on the address that pods reach."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import httpx2

from cluster import parts
from cluster.config import HOST_ADDRESS, cache_directory
from cluster.system import locked, run
from dag.core.limits import Limit
from dag.core.store.buckets import Bucket
from dag.io.store.buckets.opening import open_bucket
from dag.io.store.objects import Objects
from tests.support.registries import apt
from tests.support.waiting import eventually

NAME = "built"
_ONE_BY_ONE = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
app = DomainDispatcherApplication(create_backend_app)
def deaf(environment, start):
    for header in sys.argv[3:]:
        environment.pop(header, None)
    return app(environment, start)
run_simple(sys.argv[1], int(sys.argv[2]), deaf, threaded=False)
"""
"""moto's own server answers several requests at once, and then between the look at an ETag and the
write another write can come, which Amazon's S3 excludes."""
_EVERYTHING = Limit("an object of a test", 1 << 30)
_AZURITE = "3.37.0"
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = base64.b64encode(b"a key that every azurite of a test has").decode()


@dataclass(frozen=True)
class Store:
    """A running object store with the bucket `NAME`."""

    scheme: str
    url: str
    secret: Mapping[str, str] = field(default_factory=dict)
    """The settings by which one reaches it, as entries of a Secret."""

    @property
    def bucket(self) -> str:
        return f"{self.scheme}://{NAME}"

    @contextmanager
    def opened(self, folder: str = "") -> Iterator[Objects]:
        """Open the bucket, or a folder in it, with the settings in the environment."""
        with mock.patch.dict(os.environ, self.secret):
            bucket = Bucket.parse(f"{self.bucket}/{folder}" if folder else self.bucket)
            yield open_bucket(bucket, os.environ)

    def files(self, folder: str = "packages") -> list[str]:
        """Return the names of the files below a folder of the bucket."""
        with self.opened() as store:
            return [name.removeprefix(f"{folder}/") for name in store.names(folder)]

    def read(self, path: str) -> bytes:
        with self.opened() as store:
            found = store.read(path, _EVERYTHING)
        assert found is not None, path
        return found.data


@contextmanager
def gcs(host: str = HOST_ADDRESS) -> Iterator[Store]:
    """Run fake-gcs-server, which keeps objects in memory and accepts everybody."""
    port = _free_port(host)
    program = parts.build("tools") / "fake-gcs-server"
    url = f"http://{host}:{port}"
    command = [program, "-scheme=http", "-backend=memory", f"-port={port}", f"-public-host={url}"]
    with _running([*map(str, command), f"-external-url={url}", f"-host={host}"], url):
        created = httpx2.post(f"{url}/storage/v1/b?project=test", json={"name": NAME})
        assert created.status_code == 200, created.text
        yield Store("gs", url, {"STORAGE_EMULATOR_HOST": url})


@contextmanager
def s3(host: str = HOST_ADDRESS, *, deaf_to: Iterable[str] = ()) -> Iterator[Store]:
    """Run moto, an S3 that is used with path-style addresses.

    It passes over the headers that it is `deaf_to`, as servers do that know less than Amazon's.
    """
    port = _free_port(host)
    url = f"http://{host}:{port}"
    unheard = [f"HTTP_{header.upper().replace('-', '_')}" for header in deaf_to]
    command = [sys.executable, "-c", _ONE_BY_ONE, host, str(port), *unheard]
    with _running(command, url):
        assert httpx2.put(f"{url}/{NAME}").status_code == 200
        secret = {
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "a-secret-that-nothing-may-show",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
        }
        yield Store("s3", url, secret)


@contextmanager
def azure(host: str = HOST_ADDRESS) -> Iterator[Store]:
    """Run azurite, a server of Azure's blobs, which keeps them in memory."""
    port = _free_port(host)
    url = f"http://{host}:{port}"
    program = [shutil.which("node") or "node", str(_azurite())]
    listen = ["--blobHost", host, "--blobPort", str(port)]
    quiet = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_ACCOUNT_KEY}"}
    with _running([*program, *listen, *quiet], url, environment):
        secret = {
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": f"{url}/{_ACCOUNT}",
        }
        _create_container(url)
        yield Store("az", url, secret)


def _azurite() -> Path:
    """Return the program, which is installed once a machine."""
    place = cache_directory() / f"azurite-{_AZURITE}"
    program = place / "node_modules/azurite/dist/src/blob/main.js"
    with locked(cache_directory() / "azurite.lock"):
        if not program.exists():
            if shutil.which("npm") is None:
                apt("npm")
            run(
                "npm",
                "install",
                "--no-audit",
                "--no-fund",
                "--prefix",
                place,
                f"azurite@{_AZURITE}",
            )
    return program


def _create_container(url: str) -> None:
    # https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
    import hashlib
    import hmac
    from email.utils import formatdate

    date, version = formatdate(usegmt=True), "2021-08-06"
    path = f"/{_ACCOUNT}/{NAME}"
    signed = "\n".join(
        (
            "PUT",
            *([""] * 11),
            f"x-ms-date:{date}",
            f"x-ms-version:{version}",
            f"/{_ACCOUNT}{path}",
            "restype:container",
        )
    )
    digest = hmac.new(base64.b64decode(_ACCOUNT_KEY), signed.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}",
    }
    created = httpx2.put(f"{url}{path}?restype=container", headers=headers)
    assert created.status_code == 201, created.text


@contextmanager
def _running(
    command: list[str], url: str, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _answers(url), f"{command[0]} answers at {url}")
        yield
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        httpx2.get(url)
    except httpx2.TransportError:
        return False
    return True


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
