"""`--isolation userns`: the build has no privilege at all, or there is no build."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Cluster
from examples.bootstrap import bootstrap
from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer
from tests.support.cluster.capabilities import NOT_PASSED_ON, OF_BUILDS, capabilities
from tests.support.cluster.findings import Findings
from tests.support.cluster.running import Dag, definitions, job

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


def test_the_build_is_root_of_its_own_namespace_and_nobody_outside(
    dag: Dag, tmp_path: Path
) -> None:
    script = "id -u; head -1 /proc/self/uid_map; ls /var/run/secrets; cat /proc/self/status"
    done = dag.pod(job(tmp_path / "d", script), USERNS)
    user, mapping, token, *status = done.stdout.splitlines()
    assert user == "[build] 0"
    inside, outside, _ = map(int, mapping.split()[1:])
    assert inside == 0
    assert outside >= 65536  # no user of the node, and of no other pod
    assert "No such file" in token
    found = capabilities("\n".join(status))
    assert found == dict.fromkeys(("CapPrm", "CapEff", "CapBnd"), OF_BUILDS) | NOT_PASSED_ON
    # Networks, mounts, modules and devices of the node are nothing for it, it traces no process, and
    # sets no clock.
    assert OF_BUILDS & sum(1 << number for number in (12, 16, 17, 19, 21, 25)) == 0
    assert re.search(r"NoNewPrivs:\s+1", done.stdout)


_ALWAYS = {"procMount", "seccompProfile"}


@pytest.mark.parametrize(
    ("level", "isolation", "broken"),
    [
        ("baseline", "privileged", {"privileged"}),
        ("baseline", "userns", _ALWAYS),
        (
            "restricted",
            "privileged",
            {
                *("privileged", "allowPrivilegeEscalation != false", "unrestricted capabilities"),
                *("runAsNonRoot != true", "seccompProfile"),
            },
        ),
        (
            "restricted",
            "userns",
            _ALWAYS | {"unrestricted capabilities", "runAsNonRoot != true", "runAsUser=0"},
        ),
    ],
)
def test_a_pod_security_level_that_forbids_it_is_said_before_anything_is_pushed(
    dag: Dag, tmp_path: Path, level: str, isolation: str, broken: set[str]
) -> None:
    enforce = f"pod-security.kubernetes.io/enforce={level}"
    # Kubernetes 1.35 has other rules for pods in a user namespace.
    dag.kubectl("label", "namespace", dag.namespace, enforce, f"{_VERSION}=v1.34")
    directory = definitions(tmp_path / "d")
    done = dag.pod(directory, "--isolation", isolation)
    assert done.returncode == 3
    assert f'violates PodSecurity "{level}:v1.34"' in done.stderr
    assert rules_in(done.stderr) == broken
    assert "pod-security.kubernetes.io/enforce=privileged" in done.stderr
    assert "uploaded" not in done.stderr
    assert dag.pods() == []
    found = Findings(dag, directory, "--isolation", isolation, "--probe=false")
    assert rules_in(found.failed("pod security")) == broken
    found.mend(dag, "pod security")
    assert found.status("service account") == "ok"
    assert Findings(dag, directory, "--isolation", isolation, "--probe=false").code == 0


_VERSION = "pod-security.kubernetes.io/enforce-version"


def rules_in(text: str) -> set[str]:
    """Return the names of the rules that a refusal by Pod Security names, without what it says of each."""
    (named,) = set(re.findall(r'violates PodSecurity "[^"]*": (.*)', text))
    return {rule.strip() for rule in re.sub(r"\([^)]*\)", "", named).split(",")}


@pytest.fixture
def old_cluster(cluster: Cluster, alone: None) -> Iterator[None]:
    """Return a cluster whose API server does not know user namespaces for pods."""
    cluster.restart_apiserver(emulating="1.32")
    yield
    cluster.restart_apiserver()
    cluster.wait_until_ready()


@pytest.fixture
def confining_nothing(cluster: Cluster, alone: None) -> Iterator[None]:
    """Return a cluster whose kubelets have no user namespaces, though its API server does."""
    for node in cluster.nodes:
        cluster.restart_kubelet(node, UserNamespacesSupport=False)
    cluster.wait_until_ready()
    yield
    for node in cluster.nodes:
        cluster.restart_kubelet(node)
    cluster.wait_until_ready()


@pytest.mark.usefixtures("old_cluster")
def test_a_cluster_without_user_namespaces_is_said_before_anything_is_pushed(
    dag: Dag, tmp_path: Path
) -> None:
    directory = definitions(tmp_path / "d")
    done = dag.pod(directory, USERNS)
    assert done.returncode == 3, done.stderr
    words = r"this cluster \(Kubernetes v[\d.]+, emulating 1\.32\) has no user namespaces for pods"
    assert re.search(words, done.stderr)
    assert "Kubernetes 1.33" in done.stderr
    assert "uploaded" not in done.stderr
    found = Findings(dag, directory, USERNS)
    assert found.code == 3
    assert found.with_status("failed") == ["pod x86_64"]
    assert re.search(words, found.failed("pod x86_64"))
    assert "--isolation privileged" in found.checks["pod x86_64"]["fix"]
    assert Findings(dag, directory, "--isolation=privileged").code == 0


@pytest.mark.usefixtures("confining_nothing")
def test_a_node_that_gives_no_user_namespace_builds_nothing(dag: Dag, tmp_path: Path) -> None:
    directory = definitions(tmp_path / "d")
    words = 'the feature gate "UserNamespacesSupport" is disabled'
    done = dag.pod(directory, USERNS)
    assert done.returncode == 3, done.stderr
    assert words in done.stderr.splitlines()[-2]
    assert "build with --isolation privileged" in done.stderr
    assert dag.pods() == []
    found = Findings(dag, directory, USERNS)
    assert found.code == 3
    assert found.with_status("failed") == ["user namespace x86_64"]
    assert words in found.failed("user namespace x86_64")
    assert "--isolation privileged" in found.checks["user namespace x86_64"]["fix"]
