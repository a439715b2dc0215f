"""A repository of an OCI registry: reads manifests and blobs, and writes what is not there.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx2

from dag.core.image.descriptors import parse_digest
from dag.core.image.layers import (
    DOCKER_INDEX_TYPE,
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
)
from dag.core.image.references import is_tag, parse_reference
from dag.core.limits import REGISTRY_DOCUMENT
from dag.io.image.registry.answers import parse_location, read_blob
from dag.io.image.registry.auth import TokenScopes, pull_scope, push_scope
from dag.io.image.registry.refusals import Refused, RegistryError
from dag.io.image.registry.requests import Body, RegistryTransport

if TYPE_CHECKING:
    from collections.abc import Generator

    from dag.core.image.descriptors import Blob
    from dag.core.image.references import Reference

_ACCEPT = f"{INDEX_TYPE}, {MANIFEST_TYPE}, {DOCKER_INDEX_TYPE}, {DOCKER_MANIFEST_TYPE}"
_NO_HEAD = (405, 501)
"""What a server says that knows no HEAD, as some do that stand before a registry."""


@dataclass(frozen=True)
class Manifest:
    """A manifest or an index, as the registry has it."""

    media_type: str
    digest: str
    data: bytes


class ImageRepository:
    """One repository. Every method raises `RegistryError` when the registry fails or refuses."""

    def __init__(self, transport: RegistryTransport, name: str, *, writes: bool = False) -> None:
        """Take a name without host; `writes` asks for push access from the first request on."""
        self._transport = transport
        self.name = name
        self._scopes: TokenScopes = (push_scope(name) if writes else pull_scope(name),)

    @property
    def host(self) -> str:
        """Return the host of the registry that has it."""
        return self._transport.host

    def credentials(self) -> str:
        """Return in words which credentials were used, if the registry asked for any."""
        return self._transport.credentials(self._scopes)

    def digest_of(self, version: str) -> str | None:
        """Return the digest of the manifest that a tag or a digest names; None if there is none.

        Raises:
            RegistryError: also when the repository does not exist.

        """
        ok = (200, 404, *_NO_HEAD)
        response = self._request("HEAD", f"manifests/{version}", ok=ok, accept=_ACCEPT)
        if response.status_code == 404:
            return None
        if response.status_code in _NO_HEAD:
            return self._digest_by_reading(version)
        # Optional by the specification, so older registries leave it out.
        digest = response.headers.get("docker-content-digest")
        if not digest:
            return self.manifest(version).digest
        try:
            return parse_digest(digest)
        except ValueError as error:
            raise RegistryError(
                f"registry {self.host}, asked for {self.name}:{version}, says: {error}"
            ) from None

    def _digest_by_reading(self, version: str) -> str | None:
        try:
            return self.manifest(version).digest
        except Refused as refusal:
            if refusal.status != 404:
                raise
            return None

    def manifest(self, version: str) -> Manifest:
        """Read a manifest; one asked for by digest is checked against it."""
        response = self._request("GET", f"manifests/{version}", ok=(200,), accept=_ACCEPT)
        digest = _sha256(response.content)
        if not is_tag(version) and digest != version:
            raise RegistryError(
                f"registry {self.host} gave a manifest of {self.name} that is not {version}"
            )
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        return Manifest(media_type, digest, response.content)

    def put_manifest(self, version: str, media_type: str, data: bytes) -> None:
        """Write a manifest under a tag or its digest."""
        self._transport.retry(
            lambda: self._transport.send(
                "PUT",
                self._url(f"manifests/{version}"),
                scopes=self._scopes,
                ok=(200, 201, 202),
                headers={"Content-Type": media_type},
                body=Body.of(data),
            )
        )

    def has_blob(self, digest: str) -> bool:
        """Return whether a blob is there."""
        return self._transport.retry(lambda: self._has_blob(digest))

    def read_blob(self, blob: Blob) -> Generator[bytes]:
        """Read a blob in pieces; its size and digest have been checked when the last one came."""
        hashed, size = hashlib.sha256(), 0
        response = self._transport.send(
            "GET", self._url(f"blobs/{blob.digest}"), scopes=self._scopes, ok=(200,), stream=True
        )
        try:
            for chunk in read_blob(response, self.host):
                hashed.update(chunk)
                size += len(chunk)
                if size > blob.size:
                    break
                yield chunk
        except httpx2.TransportError as error:
            raise self._transport.unreachable(error) from error
        finally:
            response.close()
        if size != blob.size or f"sha256:{hashed.hexdigest()}" != blob.digest:
            raise RegistryError(
                f"registry {self.host} gave a blob of {self.name} that is not {blob.digest}",
                heals=True,
            )

    def blob_bytes(self, blob: Blob) -> bytes:
        """Read a small blob as a whole."""
        if blob.size > REGISTRY_DOCUMENT.most:
            where = f"registry {self.host}: {blob.digest} of {self.name}"
            raise RegistryError(REGISTRY_DOCUMENT.error(where).message)
        return self._transport.retry(lambda: b"".join(self.read_blob(blob)))

    def upload(self, blob: Blob, body: Body, *, source: str | None = None) -> int:
        """Make a blob be there, and return how many bytes were sent for it.

        Nothing is sent when it is there already, or can be mounted from `source`, another
        repository of the same registry.
        """
        mount: str | None = source

        def once() -> int:
            nonlocal mount
            # Asked before every attempt: an answer may have been lost after the blob had arrived.
            if self._has_blob(blob.digest):
                return 0
            try:
                session = self._open_session(blob.digest, mount)
            except Refused as refusal:
                if mount is None:
                    raise
                mount = None  # not ours to read, or broken; that is no reason not to upload it
                if refusal.heals:
                    raise
                session = self._open_session(blob.digest, mount)
            if session is None:
                return 0
            self._transport.send(
                "PUT",
                session,
                scopes=self._scopes,
                ok=(200, 201, 204),
                headers={"Content-Type": "application/octet-stream"},
                body=body,
            )
            return body.size

        return self._transport.retry(once)

    def check_push(self) -> None:
        """Find out whether an upload is allowed: open one, and give it up."""
        session = self._transport.retry(lambda: self._open_upload("blobs/uploads/", self._scopes))
        if session is not None:
            with suppress(RegistryError):  # not all know how to; what is not used goes by itself
                self._transport.send(
                    "DELETE", httpx2.URL(session), scopes=self._scopes, ok=(202, 204)
                )

    def _open_session(self, digest: str, mount: str | None) -> httpx2.URL | None:
        """Return where to PUT a blob; None when it was mounted."""
        path, scopes = "blobs/uploads/", self._scopes
        if mount is not None:
            path += f"?mount={quote(digest, safe='')}&from={quote(mount, safe='')}"
            scopes = (*scopes, pull_scope(mount))
        session = self._open_upload(path, scopes)
        if session is None:
            return None
        # Added as text: the session's own query is the registry's, and may be signed as it is.
        return httpx2.URL(f"{session}{'&' if '?' in session else '?'}digest={quote(digest)}")

    def _open_upload(self, path: str, scopes: TokenScopes) -> str | None:
        response = self._transport.send(
            "POST",
            self._url(path),
            scopes=scopes,
            ok=(201, 202),
            body=Body.of(b""),
        )
        if response.status_code == 201:
            return None
        try:
            url = parse_location(response)
        except ValueError as error:
            raise RegistryError(f"registry {self.host}, asked for an upload: {error}") from None
        except KeyError:
            raise RegistryError(
                f"registry {self.host} opened an upload without saying where"
            ) from None
        self._transport.require_https(url, "wants what is uploaded at")
        return str(url)

    def _has_blob(self, digest: str) -> bool:
        response = self._transport.send(
            "HEAD",
            self._url(f"blobs/{digest}"),
            scopes=self._scopes,
            ok=(200, 404, *_NO_HEAD),
        )
        return response.status_code == 200

    def _request(
        self, method: str, path: str, *, ok: tuple[int, ...], accept: str
    ) -> httpx2.Response:
        return self._transport.retry(
            lambda: self._transport.send(
                method, self._url(path), scopes=self._scopes, ok=ok, headers={"Accept": accept}
            )
        )

    def _url(self, path: str) -> httpx2.URL:
        return self._transport.url(f"{self.name}/{path}")


def resolve(reference: str, *, insecure: bool = False) -> str:
    """Return `name@sha256:…` for an image's tag; one that has a digest is not asked about.

    `insecure` goes for this image's registry alone.

    Raises:
        UsageError: it is no image reference.
        RegistryError: the registry cannot be reached, refuses, or has no such image.

    """
    image = parse_reference(reference)
    if image.digest is None:
        with RegistryTransport(image.host, insecure=insecure) as transport:
            digest = require_digest(ImageRepository(transport, image.repository), image)
        image = image.with_digest(digest)
    return f"{image.name}@{image.digest}"


def require_digest(repository: ImageRepository, image: Reference) -> str:
    """Return the digest of an image that must exist."""
    digest = repository.digest_of(image.version)
    if digest is None:
        raise RegistryError(f"there is no image {image}", hint="check its name and tag")
    return digest


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
