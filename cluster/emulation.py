"""Programs of another architecture on this machine, for which the kernel starts QEMU.

QEMU is registered for every container of the machine, with a user namespace or without. The kernel
opens QEMU when it is registered (flag F of https://docs.kernel.org/admin-guide/binfmt-misc.html),
so images need not have it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.config import cache_directory
from cluster.debian import install
from cluster.system import ClusterError, locked, run, step, succeeds

if TYPE_CHECKING:
    from cluster.cluster import Cluster

PLACE = Path("/proc/sys/fs/binfmt_misc")
_OURS = "dag-"
"""The beginning of the names of our registrations; `down` leaves all others alone. If a format is
registered several times, the last registration counts."""
_SOURCE = "dag-binfmt"
"""The source that our mount has in the list of mounts. Linux 6.7 and later forget every
registration when the last mount is gone."""
_LABEL = "kubernetes.io/arch"
_POLICY = "dag-disguise"
PACKAGES = ("qemu-user-static",)
"""The Debian packages with QEMU and with the lines that register it."""
_FORMATS = Path("/usr/lib/binfmt.d")
_DEBIAN = {"aarch64": "arm64", "ppc64le": "ppc64el", "riscv64": "riscv64", "s390x": "s390x"}
"""Debian's names of the architectures that Debian supports and QEMU emulates."""
ARCHITECTURES = tuple(_DEBIAN)


def up(architecture: str = "aarch64") -> None:
    """Let programs of `architecture` run here; a second call changes nothing.

    Raises ClusterError if the kernel does not allow it.
    """
    _, line = qemu(architecture)
    with locked(cache_directory() / "emulation.lock"):
        if not (PLACE / "register").exists():
            run("mount", "-t", "binfmt_misc", _SOURCE, PLACE)
        if (PLACE / f"{_OURS}{architecture}").exists():
            return
        try:
            (PLACE / "register").write_text(line)
        except OSError as error:
            raise ClusterError(
                f"the kernel does not accept programs of {architecture}: {error}"
            ) from None


def down() -> None:
    """Remove what `up` registered and mounted."""
    with locked(cache_directory() / "emulation.lock"):
        for entry in PLACE.glob(f"{_OURS}*"):
            entry.write_text("-1")
        if f"{_SOURCE} {PLACE} " in Path("/proc/self/mounts").read_text():
            run("umount", PLACE)


def qemu(architecture: str) -> tuple[Path, str]:
    """Return the path of QEMU for `architecture`, and the line that registers it under our name."""
    install(*PACKAGES)
    line = (_FORMATS / f"qemu-{architecture}.conf").read_text().replace("qemu-", _OURS, 1)
    return Path(line.split(":")[6]), line


def disguise(cluster: Cluster, node: str, architecture: str) -> None:
    """Make `node` say that it has `architecture`, as Kubernetes names it, until `reveal`.

    The kubelet would correct the label with its next report, so a policy refuses its reports. The
    node stays Ready because of its lease.
    """
    policy = {"apiVersion": "v1", "kind": "List", "items": _refusal(node)}
    cluster.run_kubectl("apply", "--filename=-", stdin=json.dumps(policy))
    mend = ("label", "node", node, f"{_LABEL}=none", "--overwrite", "--dry-run=server")
    kubelet = (
        f"--kubeconfig={cluster.kubeconfig}",
        f"--as=system:node:{node}",
        "--as-group=system:nodes",
    )
    deadline = time.monotonic() + 30
    while succeeds(cluster.kubectl, *kubelet, *mend):
        if time.monotonic() > deadline:
            raise ClusterError(f"the API server does not apply the policy {_POLICY}")
        time.sleep(0.1)
    cluster.run_kubectl("label", "node", node, f"{_LABEL}={architecture}", "--overwrite")


def reveal(cluster: Cluster, node: str) -> None:
    """Make `node` say its own architecture again. No pod may need the other one now."""
    kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding"
    cluster.run_kubectl("delete", kinds, _POLICY, "--ignore-not-found")
    cluster.run_kubectl("label", "node", node, f"{_LABEL}=amd64", "--overwrite")


def _refusal(node: str) -> list[dict[str, object]]:
    """Return the policy that keeps the kubelet from changing the label, and its binding."""
    label = f"metadata.labels['{_LABEL}']"
    policy: dict[str, object] = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["UPDATE"],
                    "resources": ["nodes", "nodes/status"],
                }
            ]
        },
        "matchConditions": [
            {"name": "kubelet", "expression": f"request.userInfo.username == 'system:node:{node}'"}
        ],
        "validations": [{"expression": f"object.{label} == oldObject.{label}"}],
    }
    binding: dict[str, object] = {"policyName": _POLICY, "validationActions": ["Deny"]}
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": _POLICY},
            "spec": spec,
        }
        for kind, spec in (
            ("ValidatingAdmissionPolicy", policy),
            ("ValidatingAdmissionPolicyBinding", binding),
        )
    ]


def programs(architecture: str, *packages: str) -> Path:
    """Return a directory with Debian's `packages` of `architecture`, without what they depend on.

    It is kept in the cache. The state of apt and dpkg on this machine does not change.
    """
    name = hashlib.sha256(" ".join([architecture, *packages]).encode()).hexdigest()[:16]
    target = cache_directory() / "foreign" / f"{architecture}-{name}"
    with locked(target.parent / "foreign.lock"):
        if not target.exists():
            with (
                step(f"getting {', '.join(packages)} for {architecture}"),
                tempfile.TemporaryDirectory(dir=target.parent) as temporary,
            ):
                _unpack(Path(temporary), _DEBIAN[architecture], packages)
                (Path(temporary) / "root").rename(target)
    return target


def _unpack(place: Path, architecture: str, packages: tuple[str, ...]) -> None:
    for folder in ("lists/partial", "cache/archives/partial", "debs"):
        (place / folder).mkdir(parents=True)
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Dir::Cache": place / "cache",
        "Dir::State": place,
        "Dir::State::status": "/dev/null",
    }
    options = [f"--option={name}={value}" for name, value in settings.items()]
    run("apt-get", "-qq", *options, "update")
    run("apt-get", "-qq", *options, "download", *packages, cwd=place / "debs")
    for package in sorted((place / "debs").iterdir()):
        run("dpkg-deb", "--extract", package, place / "root")
