"""Builds of one directory as Jobs on the cluster, and what they leave there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dag.io.usercache import user_cache
from tests.support.builds import definition
from tests.support.cluster.running import Dag, Done, Running
from tests.support.waiting import eventually

Json = dict[str, Any]


@dataclass
class Jobs:
    """Builds of one directory as Jobs, in one store."""

    dag: Dag
    store: Path
    directory: Path
    url: str = "pvc://store"

    def words(self, *more: str) -> list[str]:
        return [
            *("build", "--dir", str(self.directory)),
            f"--kubeconfig={self.dag.cluster.limited_kubeconfig}",
            *("--on=kubernetes", f"--store={self.url}", "--ram=256Mi", *more),
        ]

    def build(self, *more: str, seconds: float = 400) -> Done:
        return self.dag(*self.words(*more), timeout=seconds)

    def publish(self, *more: str) -> Done:
        config = f"--kubeconfig={self.dag.cluster.limited_kubeconfig}"
        return self.dag("publish", config, f"--store={self.url}", *more, timeout=400)

    def start(self, *more: str) -> Running:
        return self.dag.run("dag", *self.words(*more))

    def another(self, machine: str = "another") -> str:
        """Return the directory of caches of another machine, which has no place for the store yet."""
        cache = self.dag.directory / machine
        if not cache.exists():
            (cache / "dag").mkdir(parents=True)
            for path in user_cache("replicas").parent.iterdir():
                if path.name != "replicas":
                    (cache / "dag" / path.name).symlink_to(path)
        return str(cache)

    def elsewhere(self, *words: str) -> Done:
        """Run `dag` as on another machine."""
        if words[0] != "build":
            config = f"--kubeconfig={self.dag.cluster.limited_kubeconfig}"
            words = (*words, "--dir", str(self.directory), config, f"--store={self.url}")
        here = self.dag.environment
        self.dag.environment = {**here, "XDG_CACHE_HOME": self.another()}
        try:
            return self.dag(*words, timeout=400)
        finally:
            self.dag.environment = here

    def define(self, **definitions: str) -> None:
        """Let the directory have just these definitions."""
        for old in self.directory.glob("*.yaml"):
            old.unlink()
        for name, runs in definitions.items():
            self.add(name, runs=runs)

    def write(self, definitions: Mapping[str, str]) -> None:
        """Write definitions, by name, into the directory."""
        for name, text in definitions.items():
            (self.directory / f"{name}.yaml").write_text(text)

    def add(self, name: str, *needs: str, **more: str) -> None:
        """Add a definition to the directory, see `definition`."""
        (self.directory / f"{name}.yaml").write_text(definition(name, *needs, **more))

    def await_build(self, package: str = "", says: str = "", seconds: float = 240) -> Json:
        """Wait until a build, or that of a package, has said something, and return its Pod."""
        what = f"the build of {package or 'a package'} says {says or 'something'}"
        return eventually(lambda: self._find_build(package, says), what, seconds)

    def _find_build(self, package: str, says: str) -> Json:
        """Return the Pod of a build that has said something; an empty one if there is none."""
        for pod in json.loads(self.dag.kubectl("get", "pods", "-o", "json"))["items"]:
            if package and pod["metadata"].get("annotations", {}).get("dag/package") != package:
                continue
            statuses = pod["status"].get("containerStatuses", ())
            running = {one["name"] for one in statuses if "running" in one["state"]}
            if "build" not in running:
                continue
            log = self.dag.kubectl("logs", pod["metadata"]["name"], "-c", "build")
            if log and says in log:
                return dict(pod)
        return {}

    def look_into(self, pod: Json, command: str, container: str = "build") -> str:
        """Return what a shell says in a container, by default in the one that builds."""
        name = pod["metadata"]["name"]
        return self.dag.kubectl("exec", name, "-c", container, "--", "sh", "-c", command)

    def jobs(self) -> list[Json]:
        return list(json.loads(self.dag.kubectl("get", "jobs", "-o", "json"))["items"])

    def nodes(self) -> dict[str, str]:
        """Return the node of each Job that the scheduler has assigned, by the name of the Job."""
        said = self.dag.kubectl("get", "events", "--field-selector=reason=Scheduled", "-o", "json")
        found: dict[str, Json] = {
            one["involvedObject"]["name"]: one for one in json.loads(said)["items"]
        }
        return {
            name.rpartition("-")[0]: one["message"].rpartition(" ")[2]
            for name, one in found.items()
        }

    def logs(self) -> list[str]:
        return sorted(path.name for path in self.store.glob(".dag/runs/*/x86_64/logs/*"))

    def records(self) -> list[Path]:
        return sorted(self.store.glob(".dag/records/x86_64/**/*.json"))
