"""Every line of a build's log comes once and in order, or `dag` says that some are missing."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from cluster import control
from tests.support.cluster.running import Dag, Done, definitions, job
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster

WIDTH = 100
TORN = re.compile(r"dag: ([\d,]+) of ([\d,]+) lines of the log are missing, torn by its rotation")


def numbers(lines: int) -> str:
    """Return a command that prints numbered lines of 100 bytes, and one long line among them."""
    return f"seq -f '%0{WIDTH - 1}.0f' 1 {lines}\n"


def check(dag: Dag, done: Done, lines: int) -> bool:
    """Check that no line comes twice or too early and that a gap is named; return whether all came."""
    assert done.returncode == 0, done.stderr
    read = [line.removeprefix("[build] ") for line in done.stdout.splitlines()]
    whole = [int(line) for line in read if len(line) == WIDTH - 1]
    assert all(one < next_one for one, next_one in pairwise(whole))
    missing, torn = lines - len(read), len(read) - len(whole)
    told = TORN.search(done.stderr)
    found = [int(text.replace(",", "")) for text in told.groups()] if told else [0, lines]
    assert found == [missing, lines]
    if torn and not missing:  # the kubelet has rotated the log
        assert "bytes within the lines of the log were lost on the node" in done.stderr
    return not missing and not torn


def test_60_mb_come_whole_or_with_what_is_missing_and_whole_with_out(
    dag: Dag, tmp_path: Path
) -> None:
    lines, out = 60_000_000 // WIDTH, tmp_path / "out"
    done = dag.pod(job(tmp_path / "d", numbers(lines)), "--out", out, "--disk=1Gi")
    everything = check(dag, done, lines)
    whole = (out / "build.log").read_text().split()
    assert [int(line) for line in (whole[0], whole[-1])] == [1, lines]
    assert len(whole) == lines
    assert ("build.log has the whole log" in done.stderr) == (not everything)
    # The node tells how much there was in another way than by the log, whose end it may not give.
    told = dag.state_of("build")["terminated"]["message"].splitlines()
    assert told[-1].startswith(f"dag: end of log: {lines} lines, ")


def test_cut_connections_repeat_and_lose_nothing(dag: Dag, tmp_path: Path) -> None:
    with dag.faults() as api:
        cuts = [
            api.on("GET", r"/log\?.*container=build", nth=1).reset(after=50_000),
            api.on("GET", r"/log\?.*container=build", nth=2).truncate(after=300_000),
            api.on("GET", r"/log\?.*container=build", nth=3).refuse(),
            api.on("GET", r"/log\?.*container=build", nth=4).answer(500),
            api.on("GET", r"/log\?.*container=build", nth=5).reset(after=700_001),
            api.on("GET", r"/pods\?.*watch=true", nth=1).reset(after=0),
            api.on("GET", r"/pods\?.*watch=true", nth=2).truncate(after=3_000),
            api.on("GET", r"/pods\?.*watch=true", nth=3).answer(410, body=b"{}"),
        ]
        done = dag.pod(job(tmp_path / "d", numbers(30_000) + "sleep 3\n"))
        assert [cut.fired for cut in cuts] == [1] * len(cuts)
    assert check(dag, done, 30_000)


def test_a_stalled_stream_is_given_up_for_a_new_one(dag: Dag, tmp_path: Path) -> None:
    with dag.faults() as api:
        stalled = api.on("GET", r"/log\?.*container=build").stall(after=50_000)
        done = dag.pod(job(tmp_path / "d", numbers(5_000)))
        assert stalled.fired == 1
    assert check(dag, done, 5_000)


def test_long_lines_arrive_and_bytes_of_all_kinds_are_visible(dag: Dag, tmp_path: Path) -> None:
    script = (
        "printf '\\377\\000\\tx\\n\\n'; head -c 100000 /dev/zero | tr '\\0' x; echo; printf end"
    )
    command = dag.start(job(tmp_path / "d", script))
    assert command.end().returncode == 0
    lines = command.stdout.read_bytes().split(b"\n")
    assert lines == [
        *(
            rb"[build] \xff\x00" + b"\tx",
            b"[build] ",
            b"[build] " + b"x" * 100_000,
            b"[build] end",
            b"",
        )
    ]


def test_init_containers_are_read_from_their_first_line_when_they_ended_before_the_watch(
    dag: Dag, tmp_path: Path
) -> None:
    agent = dag.agent('busybox seq 1 2000; exec busybox cp -R "$2/." "$3/"')
    with dag.faults() as api:
        watch = api.on("GET", r"/pods\?.*watch=true", times=None).stall()
        listed = api.on("GET", r"/pods\?fieldSelector", times=None).stall()
        command = dag.start(definitions(tmp_path / "d"), "--agent-image", agent)
        listed.wait()
        eventually(lambda: "terminated" in dag.state_of("build"), "the build has ended")
        listed.release()
        watch.release()
        done = command.end()
    assert done.returncode == 0, done.stderr
    init = [line for line in done.stdout.splitlines() if line.startswith("[init] ")]
    assert init == [f"[init] {number}" for number in range(1, 2001)]
    assert "[build] making two-1.10-r2" in done.stdout


@pytest.mark.usefixtures("alone")
def test_a_restart_of_the_api_server_is_survived(dag: Dag, tmp_path: Path) -> None:
    # Its user has a role. A server that has just started does not know the role for a moment.
    api, user = "rbac.authorization.k8s.io", {"kind": "User", "name": "limited"}
    verbs = ["create", "get", "list", "watch", "delete"]
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": verbs}]
    role = {"apiGroup": api, "kind": "Role", "name": "builder"}
    dag.apply(f"{api}/v1/Role", "builder", rules=rules)
    dag.apply(
        f"{api}/v1/RoleBinding", "builder", roleRef=role, subjects=[{"apiGroup": api, **user}]
    )
    dag.environment["KUBECONFIG"] = str(dag.cluster.limited_kubeconfig)
    script = "for n in $(seq 1 240); do printf '%099d\\n' $n; sleep 0.05; done\n"
    command = dag.start(job(tmp_path / "d", script))
    command.await_line(r"\[build\] 0+9$")
    control.API_SERVER.kill()
    command.await_line("no contact with the API server, trying again")
    dag.cluster.restart_apiserver()
    done = command.end()
    assert check(dag, done, 240)
    assert "the API server answers again after" in done.stderr
