"""A token server as the registry's own specification describes it, for docker-registry.

https://distribution.github.io/distribution/spec/auth/jwt/
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.faults import Answer, Incoming, Origin

ISSUER, SERVICE = "test-issuer", "test-service"


@dataclass
class TokenServer:
    """A server that gives tokens to `user`; everybody may pull, and those who log in may push."""

    origin: Origin
    directory: Path
    user: tuple[str, str] = ("me", "hunter2")
    asked: list[tuple[str | None, list[str]]] = field(default_factory=list)
    """The user and the scopes of every request that was granted."""

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = self.directory / "token.key", self.directory / "token.crt"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=tokens", "-keyout", self.key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )
        self.realm = self.origin.handle("/token", self.answer)

    def config(self) -> dict[str, Any]:
        """Return the settings for docker-registry."""
        return {
            "token": {
                "realm": self.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(self.certificate),
            }
        }

    def answer(self, request: Incoming) -> Answer:
        """Grant what is asked for, as far as the user may have it."""
        query = parse_qs(urlsplit(request.target).query)
        scopes = [scope for value in query.get("scope", []) for scope in value.split()]
        user, expected = None, base64.b64encode(":".join(self.user).encode()).decode()
        if (header := request.header("authorization")) is not None:
            if header != f"Basic {expected}":
                return Answer.of(401, body=b'{"errors":[{"code":"UNAUTHORIZED"}]}')
            user = self.user[0]
        self.asked.append((user, scopes))
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            granted = actions.split(",") if user else [a for a in actions.split(",") if a == "pull"]
            access.append({"type": kind, "name": name, "actions": granted})
        return Answer.of(200, body=json.dumps({"token": self._token(access)}).encode())

    def _token(self, access: list[dict[str, Any]]) -> str:
        pem = self.certificate.read_text()
        chain = ["".join(line for line in pem.splitlines() if not line.startswith("-"))]
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": chain}
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": "",
            "iat": now,
            "nbf": now - 10,
            "exp": now + 300,
            "jti": uuid.uuid4().hex,
            "access": access,
        }
        text = ".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.key],
            input=text.encode(),
            check=True,
            capture_output=True,
        ).stdout
        return f"{text}.{_base64(signed)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
