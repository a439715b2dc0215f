"""The steps that make a cluster on this machine, with kind and a registry for its nodes.

The recipe is kind's own: https://kind.sigs.k8s.io/docs/user/local-registry/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dag.core.setup.cluster import ClusterSettings, cluster_steps
from dag.core.setup.steps import (
    MARK,
    Connect,
    Ensure,
    LineCheck,
    RunProgram,
    SetupPlan,
    SetupStep,
    mark_as_ours,
)
from dag.errors import UsageError

REGISTRY_IMAGE = "docker.io/library/registry:3"
_INSIDE = 5000
"""The port inside the registry's container."""
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")

# kind's images have had this since v0.27.0; older ones need it.
_CONFIG = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSettings:
    """The settings of `dag setup kind`, which makes a cluster on this machine."""

    cluster: str = "dag"
    registry: str = "kind-registry"
    """The name of the registry's container, which is its name on kind's network, too."""
    port: int = 5001
    """The port of the registry on this machine."""
    registry_image: str = REGISTRY_IMAGE
    inside: ClusterSettings


def kind_plan(settings: KindSettings) -> SetupPlan:
    """Return the plan of `dag setup kind`.

    Raises:
        UsageError: kind or docker would not take a name.

    """
    for flag, name in (("--cluster", settings.cluster), ("--registry", settings.registry)):
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{flag} {name!r} is no name that docker takes for a container",
                hint="use lower-case letters, digits, - and .",
            )
    inside = settings.inside
    flags = {
        "bundle-repo": f"localhost:{settings.port}/dag",
        "namespace": inside.namespace,
        "service-account": inside.service_account,
    }
    steps = (*_steps(settings), *cluster_steps(inside))
    return SetupPlan(steps=steps, context=f"kind-{settings.cluster}", flags=flags)


def _steps(settings: KindSettings) -> Iterator[SetupStep]:
    name, registry = settings.cluster, settings.registry
    there = LineCheck(name, ("kind", "get", "clusters"))
    yield RunProgram(
        title="Registry: bundles go there, and only this machine reaches it",
        argv=(
            *("docker", "run", "--detach", "--restart=always", "--network=bridge"),
            f"--publish=127.0.0.1:{settings.port}:{_INSIDE}",
            *(f"--name={registry}", "--label=managed-by=dag", settings.registry_image),
        ),
        done=LineCheck(f"/{registry}", ("docker", "inspect", "--format={{.Name}}", registry)),
        undo=("docker", "rm", "--force", "--volumes", registry),
        ours=LineCheck(
            "dag",
            ("docker", "inspect", '--format={{index .Config.Labels "managed-by"}}', registry),
        ),
    )
    yield RunProgram(
        title="The registry runs",
        argv=("docker", "start", registry),
        done=LineCheck("true", ("docker", "inspect", "--format={{.State.Running}}", registry)),
    )
    yield RunProgram(
        title=f"Cluster {name}",
        argv=("sh", "-c", _create(name)),
        stdin=_CONFIG,
        done=there,
        undo=("kind", "delete", "cluster", f"--name={name}"),
        ours=LineCheck(MARK, ("docker", "exec", f"{name}-control-plane", "cat", "/etc/made-by")),
    )
    yield Connect(
        title="Credentials in your kubeconfig",
        argv=("kind", "export", "kubeconfig", f"--name={name}"),
        there=there,
    )
    yield RunProgram(
        title="Registry in the nodes' network",
        argv=("docker", "network", "connect", "kind", registry),
        done=LineCheck(
            "yes",
            (
                *("docker", "inspect", registry),
                "--format={{if .NetworkSettings.Networks.kind}}yes{{end}}",
            ),
        ),
    )
    yield RunProgram(
        title="Names of the registry on every node: it speaks plain http, and it is not on the node",
        argv=("sh", "-c", _hosts(settings)),
        done=LineCheck("dag: known on every node", ("sh", "-c", _known(settings))),
    )
    described = f'host: "localhost:{settings.port}"\nhelp: "https://kind.sigs.k8s.io/docs/user/local-registry/"\n'
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
        "data": {"localRegistryHosting.v1": described},
    }
    # https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry
    yield Ensure(
        title="Announcement: other tools find the registry by it", manifest=mark_as_ours(config_map)
    )


def _create(name: str) -> str:
    # kind has no labels, so the mark is a file on the node.
    return f"""\
kind create cluster --name={name} --config=- --wait=5m &&
docker exec {name}-control-plane sh -c "echo {MARK} >/etc/made-by"
"""


def _directories(settings: KindSettings) -> list[str]:
    names = (f"localhost:{settings.port}", f"{settings.registry}:{_INSIDE}")
    return [f"/etc/containerd/certs.d/{name}" for name in names]


def _hosts(settings: KindSettings) -> str:
    hosts = f'[host.\\"http://{settings.registry}:{_INSIDE}\\"]'
    directories = " ".join(_directories(settings))
    return f"""\
for node in $(kind get nodes --name={settings.cluster}); do
  for directory in {directories}; do
    docker exec "$node" mkdir -p "$directory" &&
    echo "{hosts}" | docker exec -i "$node" cp /dev/stdin "$directory/hosts.toml" || exit
  done
done
"""


def _known(settings: KindSettings) -> str:
    files = " ".join(f"{directory}/hosts.toml" for directory in _directories(settings))
    return f"""\
for node in $(kind get nodes --name={settings.cluster}); do
  docker exec "$node" cat {files} >/dev/null || exit
done
echo "dag: known on every node"
"""
