"""Servers on loopback that give out credentials of a cloud for a token, if that is for them."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import serving


def make_token(audience: str) -> str:
    """Return a token like those of Kubernetes, which nobody has signed."""
    parts = ({"alg": "RS256"}, {"aud": [audience], "sub": "system:serviceaccount:builds:builder"})
    return ".".join([*(_encoded(json.dumps(one).encode()) for one in parts), _encoded(b"nobody")])


def audiences_of(token: str) -> list[str]:
    """Return whom a token is for."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return list(claims["aud"])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass
class TokenService:
    """A service that wants tokens for `audience`, and has seen these requests."""

    audience: str
    url: str = ""
    authority: Path = Path()
    """The certificate that clients have to trust."""
    requests: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def amazon(directory: Path) -> Iterator[TokenService]:
    """Serve like Amazon's STS, which clients ask by https alone."""
    service = TokenService("sts.amazonaws.com", authority=directory / "ca.pem")
    certificate, key = _make_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    answer = (
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        "<AccessKeyId>temporary</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        "<SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
    handler = _handler(service, "WebIdentityToken", answer)
    with serving(handler, tls=context) as port:
        service.url = f"https://localhost:{port}"
        yield service


@contextmanager
def azure() -> Iterator[TokenService]:
    """Serve like Azure's login."""
    service = TokenService("api://AzureADTokenExchange")
    answer = json.dumps({"access_token": "temporary", "expires_in": 3600, "token_type": "Bearer"})
    with serving(_handler(service, "client_assertion", answer)) as port:
        service.url = f"http://127.0.0.1:{port}"
        yield service


@contextmanager
def google(audience: str) -> Iterator[TokenService]:
    """Serve like Google's STS."""
    service = TokenService(audience)
    answer = json.dumps({"access_token": "temporary", "expires_in": 3600, "token_type": "Bearer"})
    with serving(_handler(service, "subject_token", answer)) as port:
        service.url = f"http://127.0.0.1:{port}"
        yield service


def _handler(service: TokenService, field: str, answer: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the server looks for this name
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            found = parse_qs(urlsplit(self.path).query) | parse_qs(body)
            asked = {name: values[0] for name, values in found.items()}
            service.requests.append({"path": urlsplit(self.path).path, **asked})
            is_mine = service.audience in audiences_of(asked[field])
            data = answer.encode() if is_mine else b"it is for somebody else"
            self.send_response(200 if is_mine else 400)
            self.send_header("Content-Type", "application/json" if answer[0] == "{" else "text/xml")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


def _make_certificate(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for localhost and its key; its authority is another one, in `ca.pem`."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, *("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"))
    openssl("req", *new, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost")
    (directory / "names").write_text("subjectAltName=DNS:localhost")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
    openssl("x509", "-req", "-in", "request.pem", *signing, "-out", "certificate.pem")
    return directory / "certificate.pem", directory / "key.pem"
