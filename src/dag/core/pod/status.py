"""The containers of a Pod, as its status shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import BUILD, OURS, OUT, UPLOAD


def containers(pod: KubeView) -> dict[str, KubeView]:
    """Return the status of each container by name, init containers first, in the Pod's order."""
    status = pod.get("status", {})
    listed = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    found = {container["name"]: container for container in listed}
    spec = pod["spec"]
    order = [*spec.get("initContainers", ()), *spec["containers"]]
    return {item["name"]: found[item["name"]] for item in order if item["name"] in found}


def has_started(container: KubeView) -> bool:
    """Return whether the container runs or ran, so that it has a log."""
    terminated = container.get("state", {}).get("terminated")
    return is_running(container) or (terminated is not None and bool(terminated.get("containerID")))


def is_running(container: KubeView) -> bool:
    """Return whether the container runs now."""
    return "running" in container.get("state", {})


def has_ended(container: KubeView) -> bool:
    """Return whether the container has ended, even if it could never start."""
    return "terminated" in container.get("state", {})


def termination(container: KubeView) -> KubeView | None:
    """Return how the container ended, or None if it has not."""
    found: KubeView | None = container.get("state", {}).get("terminated")
    return found


def is_waiting(container: KubeView) -> bool:
    """Return whether the node says that the container waits for its start."""
    return "waiting" in container.get("state", {})


def is_working(pod: KubeView, main: str = BUILD) -> bool:
    """Return whether the Pod makes progress: `main` has begun, or a step before it runs.

    A build begins when the containers have started that wait for its end.
    """
    found = containers(pod)
    if has_started(found.get(main, {})):
        waits = any(is_waiting(found.get(name, {})) for name in (UPLOAD, OUT))
        return has_ended(found[main]) or not waits
    return any(is_running(found.get(name, {})) for name in steps(pod))


def words_on_strangers(pod: KubeView) -> Iterator[str]:
    """Yield what is to be said of containers that others have put into a build's Pod, and that run.

    A mesh injects such ones. Sidecars among the init containers end when the others have.
    """
    beside = {item["name"] for item in pod["spec"]["containers"]} - OURS
    run = [name for name, one in containers(pod).items() if name in beside and is_running(one)]
    if run:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        yield (
            f"pod {name} goes on, because others have put {', '.join(run)} into it:"
            f" kubectl delete pod {name} -n {namespace} ends it"
        )


def steps(pod: KubeView) -> list[str]:
    """Return the names of the init containers, without the sidecars among them."""
    init = pod["spec"].get("initContainers", ())
    return [item["name"] for item in init if item.get("restartPolicy") != "Always"]


def scheduling(pod: KubeView) -> KubeView:
    """Return what the scheduler says about the Pod, which is nothing at first.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
    """
    conditions: Iterable[KubeView] = pod.get("status", {}).get("conditions", ())
    return next((one for one in conditions if one["type"] == "PodScheduled"), {})


def late_containers(pod: KubeView) -> Iterator[str]:
    """Yield the names of containers that should have taken what was built, and have not started."""
    found = containers(pod)
    if has_ended(found.get(BUILD, {})):
        for container in pod["spec"]["containers"]:
            name = str(container["name"])
            if name in (UPLOAD, OUT) and is_waiting(found.get(name, {})):
                yield name
