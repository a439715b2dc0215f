"""Runs of `dag` by a user in a namespace of its own, and directories that it can build."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cluster import Cluster, oci
from dag.core.image.agent import LABEL
from tests.support.faults import FaultProxy

CHECKOUT = Path(__file__).resolve().parents[3]

ECHOES = """\
ARCH ?= none
all: {all}
packages/$(ARCH)/%.apk:
\t@echo making $*
\t@mkdir -p $(@D); echo $* >$@
"""

Done = subprocess.CompletedProcess[str]


def definitions(
    directory: Path,
    packages: Mapping[str, Sequence[str]] | None = None,
    makefile: str | None = None,
) -> Path:
    """Write a Makefile, and a definition for each package, which needs the packages listed with it."""
    packages = {"one": [], "two": ["one"]} if packages is None else packages
    directory.mkdir(parents=True, exist_ok=True)
    for name, needed in packages.items():
        lines = [f"package: {{name: {name}, version: 1.10, epoch: 2, description: {name}}}"]
        lines += [f"environment: {{contents: {{packages: [{', '.join(['busybox', *needed])}]}}}}"]
        (directory / f"{name}.yaml").write_text("\n".join(lines) + "\n")
    everything = " ".join(f"packages/$(ARCH)/{name}-1.10-r2.apk" for name in packages)
    (directory / "Makefile").write_text(makefile or ECHOES.format(all=everything))
    return directory


def job(directory: Path, script: str) -> Path:
    """Write one definition for which `make all` runs `script` with sh."""
    definitions(directory, {"one": []}, "all:\n\t@sh job.sh\n")
    (directory / "job.sh").write_text(script)
    return directory


class Running:
    """A command that runs. It writes to files, so it never has to wait for a reader."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], directory: Path) -> None:
        self.stdout, self.stderr = directory / "stdout", directory / "stderr"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def await_line(self, pattern: str, seconds: float = 300) -> re.Match[str]:
        """Wait until something that the command wrote to either stream matches."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            text = self.stderr.read_text() + self.stdout.read_text(errors="replace")
            if found := re.search(pattern, text, re.MULTILINE):
                return found
            assert not ended, f"ended without {pattern!r}:\n{text}"
            assert time.monotonic() < deadline, f"no {pattern!r} in {seconds:g} s:\n{text}"
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, seconds: float = 300) -> Done:
        """Wait for the end of the command, and return its output, as far as it is text."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds:g} s:\n{self._errors()}") from None
        out = self.stdout.read_text(errors="replace")
        return Done(self.process.args, self.process.returncode, out, self._errors())

    def stop(self) -> None:
        """End the command, if a test that failed left it running."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _errors(self) -> str:
        return self.stderr.read_text(errors="replace")


@dataclass
class Dag:
    """`dag` in a namespace of its own, with a clean environment."""

    cluster: Cluster
    namespace: str
    directory: Path
    """The directory for the output of commands that are started."""
    started: list[Running] = field(default_factory=list)
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PYTHONPATH": str(CHECKOUT / "src"),
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "REPO": self.repository,
            "DAG_BUNDLE_BASE": self.cluster.base_image,
            "DAG_SDK_IMAGE": self.cluster.sdk_image,
            "DAG_NAMESPACE": self.namespace,
            "DAG_CPU": "100m",
            "DAG_RAM": "128Mi",
            "DAG_DISK": "64Mi",
            "DAG_DEBUG": "1",
        }

    def __call__(self, *words: str | Path, timeout: float = 300) -> Done:
        return self.run("dag", *words).end(timeout)

    def pod(self, directory: Path, *words: str | Path) -> Done:
        return self("pod", "--dir", directory, *words)

    def start(self, directory: Path, *words: str | Path) -> Running:
        """Start `dag pod`, for a test that does something while it runs."""
        return self.run("dag", "pod", "--dir", directory, *words)

    def run(self, module: str, *words: str | Path) -> Running:
        place = self.directory / f"run-{len(self.started)}"
        place.mkdir()
        command = [sys.executable, "-m", module, *map(str, words)]
        self.started.append(Running(command, self.environment, place))
        return self.started[-1]

    @property
    def repository(self) -> str:
        """The repository for bundles, which only this test uses."""
        return f"{self.cluster.registry}/{self.namespace}"

    def kubectl(self, *words: str | Path, stdin: str | None = None) -> str:
        done = subprocess.run(
            [
                self.cluster.kubectl,
                f"--kubeconfig={self.cluster.kubeconfig}",
                f"--namespace={self.namespace}",
                *words,
            ],
            capture_output=True,
            text=True,
            input=stdin,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, kind: str, name: str, **content: object) -> None:
        """Create an object; `kind` includes its API, as in `rbac.authorization.k8s.io/v1/Role`."""
        api, _, kind = kind.rpartition("/")
        described = {"apiVersion": api or "v1", "kind": kind, "metadata": {"name": name}, **content}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(described))

    def evict(self, pod: str) -> None:
        """Evict a pod by the API for that, as a drain of its node does."""
        metadata = {"name": pod, "namespace": self.namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    def quota(self, hard: dict[str, str], namespace: str = "") -> None:
        """Make the quota `small`; before its status is there, the API server lets all through."""
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
        within = [f"--namespace={namespace}"] if namespace else []
        described = json.dumps({**quota, "spec": {"hard": hard}})
        self.kubectl("apply", "-f", "-", *within, stdin=described)
        until = ("--for=jsonpath={.status.hard}", "--timeout=240s")
        self.kubectl("wait", *until, "resourcequota/small", *within)

    def limit(self, **limits: str) -> None:
        """Give every container of the namespace a limit, because the manifest sets none."""
        resources = {name.replace("_", "-"): value for name, value in limits.items()}
        entry = {"type": "Container", "default": resources}
        self.apply("LimitRange", "limits", spec={"limits": [entry]})

    def agent(self, script: str = "", *, program: str = "/bin/busybox") -> str:
        """Push an image that passes for the agent's and runs this script for busybox's shell."""
        place = self.directory / "agent"
        (place / "root/bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", place / "root/bin/busybox")
        with tarfile.open(place / "layer", "w") as layer:
            layer.add(place / "root", ".")
        config: dict[str, object] = {
            "Entrypoint": [program, "sh", "-c", script, "agent"],
            "Labels": {LABEL: "a test's"},
        }
        oci.write_layout(place / "layout", place / "layer", config)
        oci.push(place / "layout", self.cluster.registry, f"{self.namespace}-agent", "1")
        return f"{self.repository}-agent:1"

    @contextmanager
    def faults(self) -> Iterator[FaultProxy]:
        """Put the fault proxy between the API server and the commands that start from now on."""
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        server = config["clusters"][0]["cluster"]["server"]
        with FaultProxy(server, tls=True) as proxy:
            path = self.directory / f"kubeconfig-{proxy.port}"
            self.environment["KUBECONFIG"] = str(
                proxy.write_kubeconfig(self.cluster.kubeconfig, path)
            )
            yield proxy

    def pods(self) -> list[str]:
        return self.kubectl("get", "pods", "-o", "name").split()

    def pod_json(self) -> dict[str, Any]:
        """Return the only pod of the namespace."""
        (pod,) = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        return dict(pod)

    def state_of(self, container: str) -> dict[str, Any]:
        """Return the latest state of a container of the only pod, if its node has reported one."""
        statuses = self.pod_json()["status"].get("containerStatuses", ())
        return next((dict(one["state"]) for one in statuses if one["name"] == container), {})
