"""`--isolation userns`: the build has no privilege at all, or there is no build."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer
from tests.cluster.running import Dag, definitions, job

pytestmark = pytest.mark.cluster

USERNS = "--isolation=userns"


def test_the_example_is_built_without_privilege(dag: Dag, tmp_path: Path) -> None:
    bootstrap()
    out = tmp_path / "out"
    with SourceServer(host=ADDRESS, port=0) as server:
        directory = lay_out(tmp_path / "d", source_url=server.url)
        done = dag.pod(directory, "--ram=256Mi", "--out", out, USERNS)
    assert done.returncode == 0, done.stderr
    assert (out / "x86_64/everything-1-r0.apk").exists()
    spec = dag.pod_json()["spec"]
    assert spec["hostUsers"] is False
    assert spec["automountServiceAccountToken"] is False
    contexts = [one.get("securityContext") for one in spec["initContainers"] + spec["containers"]]
    assert not [context for context in contexts if context and context.get("privileged")]


def test_the_build_is_nobody_outside_and_has_no_capability(dag: Dag, tmp_path: Path) -> None:
    script = "id -u; head -1 /proc/self/uid_map; grep CapEff /proc/self/status; ls /var/run/secrets"
    done = dag.pod(job(tmp_path / "d", script), USERNS)
    user, mapping, capabilities, token, *_ = done.stdout.splitlines()
    assert user == "[build] 1000"
    assert int(mapping.split()[2]) > 1000
    assert int(capabilities.split()[2], 16) == 0
    assert "No such file" in token


@pytest.mark.parametrize("level", ["baseline", "restricted"])
@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_a_pod_security_level_that_forbids_it_is_said_before_anything_is_pushed(
    dag: Dag, tmp_path: Path, level: str, isolation: str
) -> None:
    label = f"pod-security.kubernetes.io/enforce={level}"
    dag.kubectl("label", "namespace", dag.namespace, label)
    done = dag.pod(definitions(tmp_path / "d"), "--isolation", isolation)
    assert done.returncode == 3
    assert f'violates PodSecurity "{level}:latest"' in done.stderr
    assert "pod-security.kubernetes.io/enforce=privileged" in done.stderr
    assert "uploaded" not in done.stderr
    assert dag.pods() == []


class OldServer(BaseHTTPRequestHandler):
    """An API server from before user namespaces: it drops the fields that it doesn't know."""

    def do_GET(self) -> None:
        self._answer({"gitVersion": "v1.29.4", "major": "1", "minor": "29", "items": []})

    def do_POST(self) -> None:
        sent: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if sent["kind"] == "Pod":
            sent["spec"].pop("hostUsers", None)
            for container in sent["spec"]["containers"]:
                container.get("securityContext", {}).pop("procMount", None)
        self._answer({**sent, "status": {"allowed": True}})

    def _answer(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def old_cluster(tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of such a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), OldServer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        path = tmp_path / "kubeconfig"
        config = {
            "clusters": [{"name": "old", "cluster": {"server": url}}],
            "contexts": [{"name": "old", "context": {"cluster": "old", "user": "me"}}],
            "users": [{"name": "me", "user": {"token": "x"}}],
            "current-context": "old",
        }
        path.write_text(json.dumps(config))
        yield path
        server.shutdown()
        thread.join()


def test_a_cluster_without_user_namespaces_is_said_before_anything_is_pushed(
    dag: Dag, old_cluster: Path, tmp_path: Path
) -> None:
    done = dag.pod(definitions(tmp_path / "d"), USERNS, "--kubeconfig", old_cluster)
    assert done.returncode == 3, done.stderr
    assert "this cluster (Kubernetes v1.29.4) has no user namespaces for pods" in done.stderr
    assert "Kubernetes 1.33" in done.stderr
    assert "uploaded" not in done.stderr
