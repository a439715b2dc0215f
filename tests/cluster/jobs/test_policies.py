"""What NetworkPolicies permit and forbid, on the real nodes, where a real judge enforces them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.config import API_PORT, HOST_ADDRESS, NODES, SERVICE_ADDRESS
from cluster.policies import POLICIES
from examples.bootstrap import bootstrap
from examples.layout import lay_out
from examples.sources import SourceServer
from tests.support.buckets import Store, s3
from tests.support.builds import new_key
from tests.support.cluster.findings import Findings
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.network import (
    METADATA,
    PUBLIC,
    Place,
    addresses,
    listening,
    reached,
    serve,
    trying,
)
from tests.support.cluster.running import Dag, definitions

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.torture(only=True),
    pytest.mark.usefixtures("enforced"),
]

NAMED, UNNAMED = "10.203.0.77", "10.203.0.78"
"""Two addresses of the network around the cluster, of which one is left open."""
WIRE = "168.63.129.16"
"""Where Azure gives its machines what they begin with, at an address that looks like anybody's."""
OPEN = {"named", "public", "name-server", "udp"}
"""What a build reaches in a closed network."""


@pytest.fixture
def places(dag: Dag) -> Iterator[dict[str, Place]]:
    """Return what a build could reach, by what it is; something listens everywhere."""
    here = {
        "metadata": (METADATA, 80),
        "wire-server": (WIRE, 80),
        "public": (PUBLIC, 80),
        "named": (NAMED, 80),
        "unnamed": (UNNAMED, 80),
        "name-server": (HOST_ADDRESS, 53),
    }
    there = {
        "api-service": (SERVICE_ADDRESS, 443),
        "api-server": (HOST_ADDRESS, API_PORT),
        "kubelet": (NODES[0].address, 10250),
        "pod": (serve(dag, "near", NODES[0].name), 8080),
        "far-pod": (serve(dag, "far", NODES[1].name), 8080),
    }
    with addresses(METADATA, WIRE, PUBLIC, NAMED, UNNAMED), listening(*here.values()):
        yield {**here, **there}


def close(dag: Dag, *more: str) -> None:
    closed = dag("setup", "cluster", "--user=limited", "--close-network", *more)
    assert closed.returncode == 0, closed.stderr


def test_a_step_reaches_public_addresses_and_what_is_named_and_nothing_inside(
    jobs: Jobs, places: dict[str, Place]
) -> None:
    script = trying(places)
    # A pod that is not dag's has no policy, so all of it can be reached.
    free = jobs.dag.kubectl("exec", "near", "--", "sh", "-c", script)
    assert reached(free) == {*places, "udp"}
    close(jobs.dag, f"--reach={NAMED}")
    jobs.define(one=script)
    done = jobs.build()
    assert done.returncode == 0, done.stderr
    (log,) = jobs.store.glob(".dag/runs/*/x86_64/logs/one.log")
    assert reached(log.read_text()) == OPEN


def in_bucket(dag: Dag, bucket: Store, directory: Path) -> Jobs:
    """Return builds whose store is in a bucket of the network around the cluster."""
    bootstrap()
    dag.apply("Secret", "bucket", stringData=dict(bucket.secret))
    return Jobs(dag, directory, directory, f"{bucket.bucket}/dist")


def refusals() -> str:
    return POLICIES.log.read_text()


def test_the_example_is_built_in_a_closed_network_and_asks_for_nothing_that_is_closed(
    dag: Dag, tmp_path: Path
) -> None:
    network = addresses(PUBLIC, NAMED)
    with network, s3(NAMED) as bucket, SourceServer(host=PUBLIC, port=0) as server:
        jobs = in_bucket(dag, bucket, lay_out(tmp_path / "d", source_url=server.url))
        close(dag, f"--reach={NAMED}")
        before = refusals()
        done = jobs.build("--bucket-secret=bucket")
        assert done.returncode == 0, done.stderr
        assert "12 packages to build" in done.stderr
        assert "x86_64/everything-1-r0.apk" in bucket.files("dist")
        assert refusals() == before


def test_the_cluster_drives_a_build_in_a_closed_network(dag: Dag, tmp_path: Path) -> None:
    with addresses(NAMED), s3(NAMED) as bucket:
        jobs = in_bucket(dag, bucket, lay_out(tmp_path / "d"))
        close(dag, f"--reach={NAMED}")
        jobs.define(one="true")
        begun = jobs.build("--bucket-secret=bucket", "--detach")
        assert begun.returncode == 0, begun.stderr
        done = jobs.elsewhere("attach", "--on=kubernetes", "--bucket-secret=bucket")
        assert done.returncode == 0, done.stderr
        assert "x86_64/one-1-r0.apk" in bucket.files("dist")


def test_what_a_pod_has_built_comes_out_of_a_closed_network(dag: Dag, tmp_path: Path) -> None:
    close(dag)
    out = tmp_path / "out"
    done = dag.pod(definitions(tmp_path / "d"), f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert (out / "x86_64/two-1.10-r2.apk").exists()


def test_a_store_that_a_policy_closes_is_told_by_the_doctor_and_by_the_build(
    dag: Dag, tmp_path: Path
) -> None:
    with addresses(NAMED), s3(NAMED) as bucket:
        jobs = in_bucket(dag, bucket, lay_out(tmp_path / "d"))
        close(dag)
        jobs.define(one="true")
        words = ("--on=kubernetes", f"--store={jobs.url}", "--ram=256Mi", "--bucket-secret=bucket")
        found = Findings(dag, jobs.directory, *words)
        assert found.code == 3
        assert "no agent can write to s3://built/dist" in found.failed("store x86_64")
        assert "--reach of `dag setup cluster`" in found.checks["store x86_64"]["fix"]
        done = jobs.build("--bucket-secret=bucket")
        assert done.returncode == 3, done.stderr
        assert "the agent could not tell what the store has: s3://built/dist" in done.stderr
        assert "hint: does a NetworkPolicy close the way there from this pod?" in done.stderr


def test_a_driver_that_does_not_reach_the_api_server_says_so(jobs: Jobs) -> None:
    close(jobs.dag)
    jobs.dag.kubectl("delete", "networkpolicy", "dag-driver")
    jobs.define(one="true")
    begun = jobs.build("--detach")
    assert begun.returncode == 3, begun.stderr
    assert f"the driver ended: https://{SERVICE_ADDRESS}:443: no answer" in begun.stderr
    assert "hint: does a NetworkPolicy close the way there from this pod?" in begun.stderr


@pytest.fixture
def apart(dag: Dag) -> Iterator[Dag]:
    """Return a namespace for a signer."""
    other = Dag(dag.cluster, f"{dag.namespace}-signer", dag.directory / "signer")
    dag.kubectl("create", "namespace", other.namespace)
    yield other
    dag.kubectl("delete", "namespace", other.namespace, "--wait=false")


def test_a_signer_reaches_its_store_and_is_reached_by_nobody(
    dag: Dag, apart: Dag, places: dict[str, Place], tmp_path: Path
) -> None:
    base = f"--base={dag.cluster.base_image}"
    image = dag("image", f"--push={dag.repository}", "--insecure-registry", base)
    assert image.returncode == 0, image.stderr
    words = (
        *("setup", "signer", "--store=s3://built/dist", "--bucket-secret=bucket"),
        *(f"--signer-namespace={apart.namespace}", f"--namespace={dag.namespace}"),
        *(f"--agent-image={image.stdout.strip()}", f"--signing-key={new_key(tmp_path)}"),
    )
    with s3(NAMED) as bucket:
        jobs = in_bucket(dag, bucket, lay_out(tmp_path / "d"))
        apart.apply("Secret", "bucket", stringData=dict(bucket.secret))
        closed = dag(*words)
        assert closed.returncode == 3
        assert "must find the key and the store: s3://built" in closed.stderr
        assert "`dag setup signer` leaves an address open" in closed.stderr
        made = dag(*words, f"--reach={NAMED}")
        assert made.returncode == 0, made.stderr
        close(dag, f"--reach={NAMED}")
        jobs.define(one="true")
        signed = jobs.build("--bucket-secret=bucket", "--sign=apart", "--signer-timeout=5m")
        assert signed.returncode == 0, signed.stderr
        # Whatever runs beside it has the same policy.
        beside = serve(dag, "beside", NODES[0].name, apart.namespace)
        assert reached(apart.kubectl("exec", "beside", "--", "sh", "-c", trying(places))) == OPEN
    script = trying({"signer": (beside, 8080), "far-pod": places["far-pod"]})
    said = dag.kubectl("exec", "near", "--", "sh", "-c", script)
    assert reached(said) == {"far-pod", "udp"}
