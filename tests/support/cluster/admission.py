"""Admission in one namespace: a webhook that changes pods as service meshes do, and a refusal."""

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


@contextmanager
def refusing(dag: Dag, package: str, words: str) -> Iterator[None]:
    """Refuse the pods of one package with these words, by a policy, as a cluster's owner may do."""
    kind = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    allowed = f"object.metadata.?annotations[?'dag/package'].orValue('') != '{package}'"
    policy = {
        "matchConstraints": {"resourceRules": [{**pods, "operations": ["CREATE"]}]},
        "validations": [{"expression": allowed, "message": words}],
    }
    chosen = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": dag.namespace}}}
    binding = {
        "policyName": dag.namespace,
        "validationActions": ["Deny"],
        "matchResources": chosen,
    }
    dag.apply(kind, dag.namespace, spec=policy)
    dag.apply(f"{kind}Binding", dag.namespace, spec=binding)
    like_it = [f"--annotations=dag/package={package}", f"--image={dag.cluster.base_image}"]

    def is_refused() -> bool:
        # The API server learns of the policy a moment later.
        try:
            dag.kubectl("run", "nothing", *like_it, "--dry-run=server", "-o", "name")
        except AssertionError as refused:
            return words in str(refused)
        return False

    try:
        eventually(is_refused, "a pod that the policy refuses")
        yield
    finally:
        for one in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            dag.kubectl("delete", one, dag.namespace)
