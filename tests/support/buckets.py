"""Object stores for GCS and S3, each a process on loopback or on the address that pods reach."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2

from cluster import parts
from cluster.config import HOST_ADDRESS
from tests.support.waiting import eventually

NAME = "built"


@dataclass(frozen=True)
class Store:
    """A running object store with the bucket `NAME`."""

    scheme: str
    url: str
    secret: Mapping[str, str] = field(default_factory=dict)
    """The settings by which rclone reaches it, as entries of a Secret."""

    @property
    def bucket(self) -> str:
        return f"{self.scheme}://{NAME}"

    def rclone(self, *words: str, stdin: bytes | None = None) -> bytes:
        """Run rclone on this machine; `store:` is the whole object store."""
        kind = {"gs": "google cloud storage", "s3": "s3"}[self.scheme]
        environment = {
            "PATH": "/usr/bin:/bin",
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_STORE_TYPE": kind,
            "RCLONE_CONFIG_STORE_ENV_AUTH": "true",
            **self.secret,
        }
        command = ["rclone", *words]
        return subprocess.run(
            command, env=environment, input=stdin, capture_output=True, check=True
        ).stdout

    def files(self, folder: str = "packages") -> list[str]:
        """Return the names of the files below a folder of the bucket."""
        listed = self.rclone("lsf", "-R", "--files-only", f"store:{NAME}/{folder}")
        return sorted(listed.decode().split())

    def read(self, path: str) -> bytes:
        return self.rclone("cat", f"store:{NAME}/{path}")


@contextmanager
def gcs() -> Iterator[Store]:
    """Run fake-gcs-server, which keeps objects in memory and accepts everybody."""
    port = _free_port()
    program = parts.build("tools") / "fake-gcs-server"
    url = f"http://{HOST_ADDRESS}:{port}"
    command = [program, "-scheme=http", "-backend=memory", f"-port={port}", f"-public-host={url}"]
    with _running([*map(str, command), f"-external-url={url}", f"-host={HOST_ADDRESS}"], url):
        created = httpx2.post(f"{url}/storage/v1/b?project=test", json={"name": NAME})
        assert created.status_code == 200, created.text
        secret = {"RCLONE_GCS_ENDPOINT": f"{url}/storage/v1/", "RCLONE_GCS_ANONYMOUS": "true"}
        yield Store("gs", url, secret)


@contextmanager
def s3() -> Iterator[Store]:
    """Run moto, an S3 that is used with path-style addresses."""
    port = _free_port()
    url = f"http://{HOST_ADDRESS}:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", HOST_ADDRESS, "-p", str(port)]
    with _running(command, url):
        assert httpx2.put(f"{url}/{NAME}").status_code == 200
        secret = {
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "a-secret-that-nothing-may-show",
            "AWS_REGION": "us-east-1",
            "RCLONE_S3_PROVIDER": "Other",
            "RCLONE_S3_ENDPOINT": url,
        }
        yield Store("s3", url, secret)


@contextmanager
def _running(command: list[str], url: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST_ADDRESS, 0))
        return int(probe.getsockname()[1])
