"""Real registries on loopback: Debian's docker-registry, and images that skopeo puts there."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from dag.core.image.agent import LABEL

ROOT = Path(__file__).parents[2]


@cache
def apt(*packages: str) -> None:
    """Install those of the Debian packages that are missing."""
    subprocess.run([ROOT / "scripts" / "apt", *packages], check=True)


@dataclass
class Server:
    """A running registry; `host` is the host in the names of its images."""

    host: str
    storage: Path
    log: Path
    scheme: str = "http"

    def requests(self) -> list[tuple[str, str, int]]:
        """Return the method, the path and the status of every request so far."""
        marker = f"/v2/{uuid.uuid4().hex}"
        with httpx2.Client(verify=False) as client:
            client.get(f"{self.scheme}://{self.host}{marker}")
        pattern = re.compile(r'"([A-Z]+) (\S+) HTTP/[0-9.]+" (\d+)')
        seen: list[tuple[str, str, int]] = []
        with self.log.open() as log:
            while True:
                line = log.readline()
                if marker in line and '"GET ' in line:
                    return seen
                if match := pattern.search(line):
                    seen.append((match[1], match[2], int(match[3])))

    def blobs(self) -> dict[str, int]:
        """Return the size of every stored blob, by its digest."""
        found = self.storage.glob("docker/registry/v2/blobs/sha256/*/*/data")
        return {f"sha256:{path.parent.name}": path.stat().st_size for path in found}


@contextmanager
def registry(
    directory: Path,
    *,
    htpasswd: dict[str, str] | None = None,
    auth: dict[str, Any] | None = None,
    tls: tuple[Path, Path, str] | None = None,
    clients: Path | None = None,
) -> Iterator[Server]:
    """Run docker-registry; `tls` has the certificate, the key and the host name to use.

    With `clients`, whoever asks needs a certificate, too, which the one in this file has signed.
    """
    apt("docker-registry", *(["apache2-utils"] if htpasswd else []))
    directory.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "storage")}},
        "http": {"addr": "127.0.0.1:0"},
    }
    if tls is not None:
        config["http"]["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
        if clients is not None:
            config["http"]["tls"]["clientcas"] = [str(clients)]
    if auth is not None:
        config["auth"] = auth
    if htpasswd is not None:
        users = directory / "htpasswd"
        users.write_text(
            "".join(
                subprocess.run(
                    ["htpasswd", "-nbB", user, word], check=True, capture_output=True, text=True
                ).stdout
                for user, word in htpasswd.items()
            )
        )
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(users)}}
    path, log = directory / "config.yml", directory / "log"
    path.write_text(json.dumps(config))
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(path)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        port = _port(process, log)
        name = tls[2] if tls else "127.0.0.1"
        yield Server(
            f"{name}:{port}", directory / "storage", log, scheme="https" if tls else "http"
        )
    finally:
        process.terminate()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    with log.open() as lines:
        while process.poll() is None:
            if match := re.search(r"listening on [^ ]*:(\d+)", lines.readline()):
                return int(match[1])
    raise AssertionError(log.read_text())


def self_signed(directory: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate for a host, which is its own authority, and the key of it."""
    certificate, key = directory / "server.crt", directory / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
            *("-out", certificate, "-keyout", key),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def layer(files: dict[str, bytes]) -> bytes:
    """Return a gzipped layer."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def base_image(
    directory: Path, architectures: tuple[str, ...] = ("amd64", "arm64"), *, agent: bool = False
) -> str:
    """Write an OCI layout like that of a base image, with Windows and an attestation beside Linux.

    Returns the digest of its index. With `agent` it says that it is dag's agent.
    """
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, media_type: str) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    def document(value: dict[str, Any], kind: str) -> dict[str, Any]:
        media_type = f"application/vnd.oci.image.{kind}.v1+json"
        if kind != "config":
            value = {"schemaVersion": 2, "mediaType": media_type, **value}
        return blob(json.dumps(value).encode(), media_type)

    entries = []
    for system, architecture in (
        *(("linux", name) for name in architectures),
        ("windows", "amd64"),
        ("unknown", "unknown"),
    ):
        plain = layer({"bin/busybox": f"{system} {architecture}".encode() * 1000})
        packed = gzip.compress(plain, mtime=0)
        config = {
            "architecture": architecture,
            "os": system,
            "created": "2023-05-19T20:19:22Z",
            "config": {
                "Cmd": ["sh"],
                "Env": ["PATH=/bin"],
                **({"Labels": {LABEL: "a test's"}} if agent else {}),
            },
            "history": [{"created": "2023-05-19T20:19:22Z", "created_by": "ADD"}],
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"],
            },
        }
        manifest = {
            "config": document(config, "config"),
            "layers": [blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
        entries.append(
            {
                **document(manifest, "manifest"),
                "platform": {"os": system, "architecture": architecture},
            }
        )
    index = document({"manifests": entries}, "index")
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    # skopeo takes the layout's only entry, which is the index of the image itself.
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    return str(index["digest"])


def skopeo(*arguments: str) -> str:
    """Run skopeo without verification of certificates."""
    apt("skopeo")
    done = subprocess.run(
        ["skopeo", *arguments], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
