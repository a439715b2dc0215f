"""What stops a build as Jobs before anything is made: the version, the claim, the queue, the room."""

from __future__ import annotations

from typing import Any

import pytest

from dag.core.build.events import ComputeResources
from dag.core.doctor.checks import Status
from dag.core.doctor.jobchecks import claim, queue, room, user_namespaces
from dag.core.jobs.capacity import ClusterCapacity, NodeCapacity
from dag.core.jobs.claims import Claim

CLAIM = Claim("packages")
GIB = 1 << 30


def found(*modes: str, phase: str = "Bound", maker: str = "") -> dict[str, Any]:
    marks = {"annotations": {"volume.kubernetes.io/storage-provisioner": maker}} if maker else {}
    return {"metadata": marks, "spec": {"accessModes": list(modes)}, "status": {"phase": phase}}


@pytest.mark.parametrize("phase", ["Bound", "Pending"])
def test_a_claim_that_all_nodes_mount_is_taken(phase: str) -> None:
    assert claim(CLAIM, "n", found("ReadWriteMany", phase=phase), confined=True).status is Status.OK


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (None, "there is no volume claim packages in namespace n"),
        (found("ReadWriteOnce"), "its access modes are ReadWriteOnce"),
        (found("ReadWriteMany", phase="Lost"), "has lost its volume"),
    ],
)
def test_another_claim_is_a_wrong_request(one: dict[str, Any] | None, words: str) -> None:
    finding = claim(CLAIM, "n", one, confined=True)
    assert finding.status is Status.FAILED
    assert finding.usage
    assert words in finding.message
    assert finding.fix


@pytest.mark.parametrize("confined", [True, False])
@pytest.mark.parametrize(
    ("maker", "is_mapped"),
    [
        ("efs.csi.aws.com", False),
        ("filestore.csi.storage.gke.io", False),
        ("file.csi.azure.com", False),
        ("nfs.csi.k8s.io", False),
        ("smb.csi.k8s.io", False),
        ("cluster.local/nfs-subdir-external-provisioner", False),
        ("cephfs.csi.ceph.com", True),
        ("rook-ceph.cephfs.csi.ceph.com", True),
        ("driver.longhorn.io", False),
    ],
)
def test_storage_without_id_mapped_mounts_is_refused_where_they_are_needed(
    maker: str, *, is_mapped: bool, confined: bool
) -> None:
    finding = claim(CLAIM, "n", found("ReadWriteMany", maker=maker), confined=confined)
    assert (finding.status is Status.OK) is (is_mapped or not confined)
    assert is_mapped or not confined or f"on storage of {maker}" in finding.message


def test_nobody_is_led_to_a_file_system_that_user_namespaces_cannot_have() -> None:
    fix = str(claim(CLAIM, "n", found("ReadWriteOnce"), confined=True).fix)
    assert "ID-mapped mounts, which NFS does not" in fix


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ({"major": "1", "minor": "32+"}, Status.FAILED),
        ({"major": "1", "minor": "33"}, Status.OK),
        ({"major": "2", "minor": "0"}, Status.OK),
        (
            {"major": "1", "minor": "34", "emulationMajor": "1", "emulationMinor": "32"},
            Status.FAILED,
        ),
    ],
)
def test_a_server_that_is_too_old_for_user_namespaces_is_told_from_the_others(
    version: dict[str, str], status: Status
) -> None:
    finding = user_namespaces({**version, "gitVersion": "v1"})
    assert finding.status is status
    assert bool(finding.fix) == (status is Status.FAILED)


def test_a_queue_must_be_there_and_one_that_stands_still_is_a_warning() -> None:
    assert queue("builds", "n", None).usage
    stopped = {"type": "Active", "status": "False", "message": "it is on hold"}
    finding = queue("builds", "n", {"status": {"conditions": [stopped]}})
    assert finding.status is Status.WARNING
    assert "it is on hold" in finding.message
    assert queue("builds", "n", {"status": {}}).status is Status.OK


def test_the_largest_unit_needs_a_node_that_has_room_for_it_and_the_agent() -> None:
    nodes = ClusterCapacity((NodeCapacity("a", ComputeResources(4000, 8 * GIB)),))
    assert "room for 3 units like one" in room(nodes, ComputeResources(1000, GIB), "one").message
    finding = room(nodes, ComputeResources(4000, GIB), "large")
    assert finding.status is Status.WARNING
    assert "no node has room now for large, which asks for 4 CPUs and 1,024 MiB" in finding.message
    assert room(ClusterCapacity(), ComputeResources(4000, GIB), "large").status is Status.WARNING
