"""Keys, tokens and kubeconfigs, which are made again at each start of a cluster.

There is no certificate authority. Each of the two certificates is its own root, and only those who
have to know it trust it.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.config import API_PORT, HOST_ADDRESS, NODES, SERVICE_ADDRESS
from cluster.system import run

if TYPE_CHECKING:
    from pathlib import Path

_USERS = {
    "admin": ("admin", "system:masters"),
    "limited": ("limited", ""),
    **{node.name: (f"system:node:{node.name}", "system:nodes") for node in NODES},
}


@dataclass(frozen=True)
class Credentials:
    """The paths of the files in `directory`. `make` writes the files."""

    directory: Path

    @property
    def api_certificate(self) -> Path:
        """The certificate that the API server shows to its clients."""
        return self.directory / "apiserver.crt"

    @property
    def client_certificate(self) -> Path:
        """The certificate that the API server shows to kubelets, which let nobody else in."""
        return self.directory / "kubelet-client.crt"

    @property
    def service_accounts(self) -> Path:
        """The private key that signs the tokens of service accounts."""
        return self.directory / "service-accounts.key"

    @property
    def tokens(self) -> Path:
        """The API server's static token file."""
        return self.directory / "tokens.csv"

    def kubeconfig(self, user: str) -> Path:
        """Return the path of the kubeconfig of `admin`, of `limited`, or of a node."""
        return self.directory / f"{user}.kubeconfig"

    def make(self) -> None:
        """Write all files, which only this user can read."""
        self.directory.mkdir(parents=True, mode=0o700)
        names = f"DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:{HOST_ADDRESS}"
        self._certificate(
            self.api_certificate, "/CN=kube-apiserver", f"{names},IP:{SERVICE_ADDRESS}"
        )
        self._certificate(self.client_certificate, "/O=system:masters/CN=kube-apiserver", "")
        run("openssl", "genrsa", "-out", self.service_accounts, "2048")
        lines = []
        for user, (name, group) in _USERS.items():
            token = secrets.token_hex(16)
            lines.append(f"{token},{name},{name},{group}\n")
            self._write_kubeconfig(user, token)
        self.tokens.write_text("".join(lines))

    def _certificate(self, path: Path, subject: str, names: str) -> None:
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files: list[str | Path] = ["-keyout", path.with_suffix(".key"), "-out", path]
        extension = ["-addext", f"subjectAltName={names}"] if names else []
        run("openssl", "req", *kind, "-days", "365", "-subj", subject, *extension, *files)

    def _write_kubeconfig(self, user: str, token: str) -> None:
        authority = base64.b64encode(self.api_certificate.read_bytes()).decode()
        server = {
            "server": f"https://127.0.0.1:{API_PORT}",
            "certificate-authority-data": authority,
        }
        context = {"cluster": "dag", "user": user, "namespace": "default"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "dag", "cluster": server}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "dag", "context": context}],
            "current-context": "dag",
        }
        # JSON is also YAML, and the standard library can write it.
        self.kubeconfig(user).write_text(json.dumps(config, indent=1) + "\n")
