"""If a build ends by something other than make, the command names the cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cluster.running import Dag, definitions, job
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster

WAITS = "echo running; exec sleep 600\n"


def last_lines(errors: str) -> list[str]:
    return [line.strip() for line in errors.splitlines() if line.startswith("    ")]


# The kernel kills the process with the most memory. Here the memory is in files, so oom_score_adj
# decides, and process 1 is killed.
FIRST = """\
echo greedy
echo 1000 >/proc/1/oom_score_adj
mount -t tmpfs -o size=4G none /mnt
head -c 3G /dev/zero >/mnt/full
"""
CHILD = "echo greedy >&2; tail /dev/zero; echo it ended with $?; sleep 1\n"


@pytest.mark.parametrize(
    ("script", "last", "phase"),
    [(FIRST, "greedy", "Failed"), (CHILD, "it ended with 137", "Succeeded")],
    ids=["first", "child"],
)
def test_an_oom_kill_is_named_even_if_make_ends_well(
    dag: Dag, tmp_path: Path, script: str, last: str, phase: str
) -> None:
    dag.limit(memory="2Gi")  # as much as the init container asks for
    done = dag.pod(job(tmp_path / "d", script))
    assert done.returncode == 1, done.stderr
    assert "killed for want of memory (OOMKilled, it may have 2Gi)" in done.stderr
    assert "hint: ask for more with --ram" in done.stderr
    assert last_lines(done.stderr)[-1] == last
    eventually(lambda: dag.pod_json()["status"]["phase"] == phase, f"the pod has {phase}")


def test_a_disk_that_is_filled_is_named(dag: Dag, tmp_path: Path) -> None:
    dag.limit(ephemeral_storage="1Gi")
    done = dag.pod(job(tmp_path / "d", f"fallocate -l 1200M full; {WAITS}"))
    assert done.returncode == 3, done.stderr
    assert "the node evicted the pod: " in done.stderr
    assert "ephemeral local storage usage exceeds the total limit of containers 1Gi" in done.stderr
    assert "hint: ask for more with --disk" in done.stderr
    assert last_lines(done.stderr)[0] == "running"


def delete(dag: Dag, pod: str) -> None:
    dag.kubectl("delete", pod, "--wait=false", "--grace-period=1")


def delete_by_force(dag: Dag, pod: str) -> None:
    dag.kubectl("delete", pod, "--force", "--grace-period=0")


def evict(dag: Dag, pod: str) -> None:
    dag.evict(pod.removeprefix("pod/"))


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (delete, "somebody deleted the pod while it was building"),
        (delete_by_force, "somebody deleted the pod while it was building"),
        (evict, "the pod was evicted (a drain of node node-"),
    ],
)
def test_who_takes_the_pod_away_is_named(
    dag: Dag, tmp_path: Path, end: Callable[[Dag, str], None], words: str
) -> None:
    command = dag.start(job(tmp_path / "d", WAITS))
    command.await_line("running")
    (pod,) = dag.pods()
    end(dag, pod)
    done = command.end()
    assert done.returncode == 3, done.stderr
    assert words in done.stderr
    assert last_lines(done.stderr)[0] == "running"


def test_a_timeout_is_the_builds_own_failure_also_with_out(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(job(tmp_path / "d", WAITS), "--timeout=8s", "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "the build took longer than --timeout (8 s)" in done.stderr
    assert "packages cannot be brought back" in done.stderr
    # On a slow machine the container that waits for the packages has not even begun.
    assert last_lines(done.stderr)[:1] in ([], ["running"])


def test_an_init_container_that_fails_is_named_with_its_log(dag: Dag, tmp_path: Path) -> None:
    cache = dag.agent("echo there is no cache >&2; exit 1")
    done = dag.pod(definitions(tmp_path / "d"), "--cache-bundle", cache)
    assert done.returncode == 3, done.stderr
    assert "container populate-cache failed: exit code 1" in done.stderr
    assert last_lines(done.stderr) == ["there is no cache"]
    assert dag.pods() == []


NO_SHELL = "127.0.0.1:5000/pause:1"


@pytest.mark.parametrize("out", [[], ["--out=out"]], ids=["", "out"])
def test_an_image_without_a_shell_is_named(dag: Dag, tmp_path: Path, out: list[str]) -> None:
    done = dag.pod(definitions(tmp_path / "d"), "--sdk-image", NO_SHELL, *out)
    assert done.returncode == 3, done.stderr
    assert "the build container could not start: " in done.stderr
    assert "--sdk-image" in done.stderr
    assert dag.pods() == []


def test_an_agent_that_cannot_start_is_named(dag: Dag, tmp_path: Path) -> None:
    agent = dag.agent(program="/nothing")
    done = dag.pod(definitions(tmp_path / "d"), "--agent-image", agent)
    assert done.returncode == 3, done.stderr
    assert "container init failed: StartError" in done.stderr
    assert "--agent-image" in done.stderr
    assert dag.pods() == []


def test_an_image_that_is_no_agents_is_refused(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(definitions(tmp_path / "d"), "--agent-image", NO_SHELL)
    assert done.returncode == 2, done.stderr
    assert f"{NO_SHELL} is no image of dag's agent" in done.stderr


def test_an_image_without_make_is_named(dag: Dag, tmp_path: Path) -> None:
    image = dag.cluster.base_image
    done = dag.pod(definitions(tmp_path / "d"), "--sdk-image", image, "--out", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    assert "the build did not begin: this image has no make: see --sdk-image" in done.stderr
    assert dag.pods() == []


@pytest.mark.usefixtures("alone")
def test_a_preemption_is_named(dag: Dag, tmp_path: Path) -> None:
    command = dag.start(job(tmp_path / "d", WAITS))
    command.await_line("running")
    node = dag.pod_json()["spec"]["nodeName"]
    name = f"urgent-{dag.namespace}"
    dag.apply("scheduling.k8s.io/v1/PriorityClass", name, value=1000)
    try:
        container = {
            "name": "urgent",
            "image": dag.cluster.base_image,
            "command": ["true"],
            "resources": {"requests": {"cpu": "1500m"}},
        }
        spec = {
            "priorityClassName": name,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "restartPolicy": "Never",
            "containers": [container],
        }
        dag.apply("Pod", "urgent", spec=spec)
        done = command.end()
    finally:
        dag.kubectl("delete", "priorityclass", name)
    assert done.returncode == 3, done.stderr
    assert "the pod was preempted by one of higher priority" in done.stderr
    assert "nothing is wrong with the packages: run it again" in done.stderr
