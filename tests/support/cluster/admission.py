"""A mutating admission webhook for one namespace, which does to pods what service meshes do."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.support.cluster.running import Dag
from tests.support.faults.certificates import make_certificate
from tests.support.serving import serving
from tests.support.waiting import eventually

Json = dict[str, Any]


@contextmanager
def admission(dag: Dag, directory: Path, mutate: Callable[[Json], list[Json]]) -> Iterator[None]:
    """Change every pod of the namespace by the JSON patch that `mutate` returns for it."""
    directory.mkdir()
    certificate, key = make_certificate(directory, "127.0.0.1")
    seen = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            patch = json.dumps(mutate(request["object"])).encode()
            seen.set()
            response = {
                "uid": request["uid"],
                "allowed": True,
                "patchType": "JSONPatch",
                "patch": base64.b64encode(patch).decode(),
            }
            review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
            body = json.dumps({**review, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *given: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(Handler, tls=context) as port:
        webhook = {
            "name": "admission.example.com",
            "clientConfig": {
                "url": f"https://127.0.0.1:{port}/",
                "caBundle": base64.b64encode(certificate.read_bytes()).decode(),
            },
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                }
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": dag.namespace}},
        }
        kind = "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration"
        dag.apply(kind, dag.namespace, webhooks=[webhook])

        def asked() -> bool:
            # The API server learns of the webhook a moment later.
            image = dag.cluster.base_image
            dag.kubectl("run", "nothing", f"--image={image}", "--dry-run=server", "-o", "name")
            return seen.is_set()

        try:
            eventually(asked, "a pod that the webhook was asked about")
            yield
        finally:
            dag.kubectl("delete", "mutatingwebhookconfiguration", dag.namespace)
