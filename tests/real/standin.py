"""A server that stands in for the hosts that definitions name as their repositories.

It is a proxy: whatever host a client asks for, `…/ARCH/FILE` is that file of the bootstrap
repository, and `….rsa.pub` is its key. A client that asks the server itself gets the same.
"""

from __future__ import annotations

import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.faults.certificates import make_certificate


@contextmanager
def standing_in(
    repository: Path, *, name: str = "packages.wolfi.dev", host: str = "127.0.0.1"
) -> Iterator[dict[str, str]]:
    """Serve at the address `host` while the context is open, with a certificate of the host `name`.

    It gives the variables by which programs find the server and trust it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        certificate, key = make_certificate(Path(temporary), name)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        server = _Server((host, 0), _Handler)
        server.repository, server.tls = repository, tls
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            url = f"http://{host}:{server.server_address[1]}"
            yield {"HTTPS_PROXY": url, "SSL_CERT_FILE": str(certificate)}
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    repository: Path
    tls: ssl.SSLContext


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # the one that speaks TLS, which the server does not know

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        except OSError:
            self.close_connection = True  # the client does not trust the certificate, or is gone
            return
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        files = self.server.repository.glob("*.pub" if parts[-1].endswith(".pub") else "*/*")
        found = [one for one in files if parts[-1] in (one.name, "wolfi-signing.rsa.pub")]
        body = found[0].read_bytes() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.wfile.flush()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""
