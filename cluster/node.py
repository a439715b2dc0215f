"""One node: a disk, a cgroup, a containerd and a kubelet of its own on the shared machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from cluster.config import (
    CGROUPS,
    CNI_PLUGINS,
    HOST_ADDRESS,
    REGISTRY,
    RUNTIME,
    cache_directory,
    state_directory,
)
from cluster.process import Process
from cluster.system import ClusterError, run, succeeds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cluster.config import Node
    from cluster.credentials import Credentials

_CONTAINERD = """\
version = 3
root = "{disk}/containerd"
state = "{runtime}/containerd"

[grpc]
  address = "{runtime}/containerd.sock"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{registry}/pause:1"

[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{home}/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{plugins}"]
  conf_dir = "{home}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{bin}/runc"
  Root = "{runtime}/runc"
  SystemdCgroup = false

[plugins."io.containerd.nri.v1.nri"]
  disable = true
"""


class Machinery:
    """The disk, the cgroup and the processes that make a configured Node a running one."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.home = state_directory() / node.name
        self.disk = self.home / "disk"
        self.runtime = RUNTIME / node.name
        self.containerd = Process(f"containerd-{node.name}")
        self.kubelet = Process(f"kubelet-{node.name}")

    def start_containerd(self, containerd: Path) -> None:
        """Mount the disk and start the container runtime on it."""
        self._mount_disk()
        self._make_cgroup()
        self._write_network()
        hosts = self.home / "certs.d" / REGISTRY / "hosts.toml"
        hosts.parent.mkdir(parents=True)
        hosts.write_text(f'server = "http://{REGISTRY}"\n')
        self.runtime.mkdir(parents=True)
        config = self.home / "containerd.toml"
        config.write_text(
            _CONTAINERD.format(
                bin=containerd,
                disk=self.disk,
                home=self.home,
                plugins=CNI_PLUGINS,
                registry=REGISTRY,
                runtime=self.runtime,
            )
        )
        # containerd looks for its shim in PATH. `stop` has to find its temporary mounts.
        temporary = self.runtime / "tmp"
        temporary.mkdir()
        environment = {"PATH": f"{containerd}:{os.environ['PATH']}", "TMPDIR": str(temporary)}
        self.containerd.start([containerd / "containerd", "--config", config], environment)
        self._wait_for_socket()

    def start_kubelet(
        self,
        kubernetes: Path,
        credentials: Credentials,
        features: Mapping[str, bool] = MappingProxyType({}),
    ) -> None:
        """Start the kubelet, which registers the node, with `features` as its feature gates."""
        config = self.home / "kubelet.json"
        written = {**self._kubelet_config(credentials), "featureGates": {**features}}
        config.write_text(json.dumps(written, indent=1))
        self.kubelet.start(
            [
                kubernetes / "kubelet",
                f"--config={config}",
                f"--kubeconfig={credentials.kubeconfig(self.node.name)}",
                f"--root-dir={self.disk / 'kubelet'}",
                f"--cert-dir={self.home / 'pki'}",
                f"--hostname-override={self.node.name}",
                f"--node-ip={self.node.address}",
            ]
        )

    def stop(self) -> None:
        """End everything that runs on the node, and free what it holds of the machine."""
        self.kubelet.kill()
        self.containerd.kill()
        for pid in self._runtime_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for cgroup in self._cgroups():
            _empty(cgroup)
        for place in (self.runtime, self.home):
            unmount_below(place)

    def _mount_disk(self) -> None:
        # The node needs a file system of its own: the kubelet can't find the device of the root
        # file system on every machine, and then it knows no capacity for ephemeral storage. A
        # test can also fill this one without harm to the machine.
        image = self.home / "disk.img"
        self.disk.mkdir(parents=True)
        run("truncate", "-s", "12G", image)
        run("mkfs.ext4", "-q", "-m", "0", image)
        run("mount", "-o", "loop", image, self.disk)
        run("mount", "--make-rshared", self.disk)

    def _make_cgroup(self) -> None:
        for cgroup in self._cgroups():
            cgroup.mkdir(exist_ok=True)
            controllers = cgroup.parent / "cgroup.controllers"
            if controllers.exists():
                passed_on = " ".join(f"+{name}" for name in controllers.read_text().split())
                (cgroup.parent / "cgroup.subtree_control").write_text(passed_on)
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (cgroup / file).exists() and (cgroup.parent / "tasks").exists():
                    (cgroup / file).write_text((cgroup.parent / file).read_text())

    def _cgroups(self) -> list[Path]:
        if (CGROUPS / "cgroup.controllers").exists():
            return [CGROUPS / self.node.name]
        return [parent / self.node.name for parent in CGROUPS.glob("*") if parent.is_dir()]

    def _write_network(self) -> None:
        bridge = {
            "type": "bridge",
            "bridge": self.node.bridge,
            "isGateway": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.home / "addresses"),
                "ranges": [[{"subnet": self.node.network}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        path = self.home / "cni" / "10-bridge.conflist"
        path.parent.mkdir()
        config = {"cniVersion": "1.0.0", "name": self.node.name, "plugins": [bridge]}
        path.write_text(json.dumps(config))

    def _kubelet_config(self, credentials: Credentials) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.node.address,
            "healthzPort": self.node.healthz_port,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(credentials.client_certificate)},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{self.runtime / 'containerd.sock'}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.node.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [_name_server()],
            # These firewall rules would stay after the end, and nothing here needs them.
            "makeIPTablesUtilChains": False,
            # In a common directory two kubelets would delete each other's logs.
            "podLogsDir": str(self.home / "pod-logs"),
            "containerLogMonitorInterval": "3s",
            "serializeImagePulls": False,
            # The sizes of volumes are measured this often. With the default of a minute, a pod over
            # the limit of its emptyDir is evicted after 10 s to 80 s.
            "volumeStatsAggPeriod": "3s",
            # A lease is renewed after a quarter of its time, and the controllers consider a node
            # lost after 10 s. With the default of 40 s the node would come and go.
            "nodeLeaseDurationSeconds": 8,
            "nodeStatusUpdateFrequency": "4s",
        }

    def _wait_for_socket(self) -> None:
        socket = self.runtime / "containerd.sock"
        deadline = time.monotonic() + 30
        while not socket.exists():
            if time.monotonic() > deadline or self.containerd.pid() is None:
                words = self.containerd.last_words()
                raise ClusterError(f"{self.containerd.name} does not start:\n{words}")
            time.sleep(0.05)

    def _runtime_processes(self) -> Iterator[int]:
        """Yield the processes that containerd left: shims, and a runc that makes a container."""
        for folder in Path("/proc").glob("[0-9]*"):
            # Any process may end meanwhile.
            with contextlib.suppress(OSError):
                ours = (folder / "exe").readlink().is_relative_to(cache_directory() / "parts")
                if ours and f"{self.runtime}/".encode() in (folder / "cmdline").read_bytes():
                    yield int(folder.name)


def unmount_below(place: Path) -> None:
    """Unmount everything below `place`, in the reverse order of mounting.

    The kernel dissolves the mount namespaces of killed containers with a delay, and the disk is
    busy until then.
    """
    deadline = time.monotonic() + 20
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in mounts]
    for point in reversed(points):
        if Path(point).is_relative_to(place):
            while not succeeds("umount", point):
                if time.monotonic() > deadline:
                    raise ClusterError(f"{point} is still in use, so it can't be unmounted")
                time.sleep(0.1)


def _empty(cgroup: Path) -> None:
    """Kill what runs in `cgroup` and below, and remove it as soon as the kernel permits that."""
    deadline = time.monotonic() + 20
    while cgroup.exists():
        for folder, _, _ in os.walk(cgroup, topdown=False):
            # The process or the cgroup may be gone already.
            with contextlib.suppress(OSError):
                for pid in Path(folder, "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
                Path(folder).rmdir()
        if time.monotonic() > deadline:
            raise ClusterError(f"{cgroup} holds processes that can't be killed")
        time.sleep(0.02)


def _name_server() -> str:
    """Return the name server of the host, if a pod can reach it: one on loopback it cannot."""
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        match line.split():
            case ["nameserver", address, *_] if not address.startswith(("127.", "::1")):
                return address
    return HOST_ADDRESS
