"""The meaning of facts for a build, in cases that the cluster of the tests cannot show."""

from __future__ import annotations

from typing import Any

import pytest

from dag.core.arch import Arch
from dag.core.doctor import checks as doctor
from dag.core.doctor.checks import Finding, Status, exit_code
from dag.core.doctor.probes import (
    PROBE_RULES,
    Fate,
    ProbeOutcome,
    judge,
    judge_userns,
    outcome,
)
from dag.core.pod.events import DeletePod, DeletionAccepted, PodCreated, PodEventSeen
from dag.core.pod.lastwords import encode_last_words
from dag.core.pod.permissions import grant_commands, permissions_for_pod
from dag.core.store.buckets import Bucket
from dag.errors import InfrastructureError, UsageError
from tests.support.podstories import RUNNING, Story, api_event, ended, waiting

FULL_MAP = "         0          0 4294967295"


def failed(*, usage: bool = False) -> Finding:
    return Finding(Status.FAILED, "", usage=usage)


def test_the_exit_code_is_3_unless_the_request_itself_is_wrong() -> None:
    fine = [Finding(Status.OK, ""), Finding(Status.WARNING, ""), doctor.skipped("x")]
    assert exit_code(fine) == 0
    assert exit_code([*fine, failed()]) == 3
    assert exit_code([failed(), failed(usage=True)]) == 2


def test_the_lines_of_an_error_become_sentences_of_a_finding() -> None:
    lines = [
        "a has 2 problems",
        "x.yaml:1: wrong;",
        "mend   it",
        "  soon",
        "",
        "really?",
        "these: b",
        "and c.",
    ]
    found = Finding.of(UsageError("\n".join(lines), hint="look"))
    words = "a has 2 problems. x.yaml:1: wrong; mend it soon. really? these: b. and c."
    assert found == Finding(Status.FAILED, words, "look", usage=True)
    assert Finding.of(InfrastructureError("this is one")).message == "this is one"


def test_a_server_is_named_with_the_version_that_it_emulates() -> None:
    version = {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
    assert doctor.version_name(version) == "Kubernetes v1.34.4"
    version |= {"emulationMajor": "1", "emulationMinor": "34"}
    assert doctor.version_name(version) == "Kubernetes v1.34.4"
    version |= {"emulationMinor": "32"}
    assert doctor.version_name(version) == "Kubernetes v1.34.4, emulating 1.32"
    assert doctor.version_name({}) == "Kubernetes of an unknown version"


def test_a_namespace_on_its_way_out_takes_no_pod() -> None:
    assert doctor.namespace("n", {"status": {"phase": "Terminating"}}).status is Status.FAILED


def test_an_image_is_for_an_architecture_whatever_its_variant() -> None:
    platforms = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]
    for name, status in (
        ("aarch64", "ok"),
        ("armv7", "ok"),
        ("armhf", "failed"),
        ("x86", "failed"),
    ):
        finding = doctor.image("i", platforms, [Arch.parse(name)], "--sdk-image")
        assert finding.status == status, name


def test_an_account_needs_no_identity_of_a_cloud_when_a_secret_lets_it_in() -> None:
    account: dict[str, Any] = {"metadata": {"name": "a"}}
    bucket = Bucket.parse("s3://built")
    bare = doctor.service_account("a", "n", account, bucket, secret=False)
    assert bare.status is Status.WARNING
    assert bare.fix is not None
    assert "eks.amazonaws.com/role-arn=" in bare.fix
    assert doctor.service_account("a", "n", account, bucket, secret=True).status is Status.OK
    account["metadata"]["annotations"] = {"eks.amazonaws.com/role-arn": "arn:x"}
    assert doctor.service_account("a", "n", account, bucket, secret=False).status is Status.OK


def test_a_driver_that_no_node_has_mounts_nothing() -> None:
    def nodes(*drivers: str) -> list[dict[str, Any]]:
        spec = {"drivers": [{"name": driver} for driver in drivers] or None}
        return [{"metadata": {"name": "a"}, "spec": spec}]

    assert doctor.csi_driver("d", {}, nodes("d", "e")).status is Status.OK
    assert doctor.csi_driver("d", {}, nodes("e")).status is Status.FAILED
    assert doctor.csi_driver("d", {}, nodes()).status is Status.FAILED
    assert doctor.csi_driver("d", {}, None).status is Status.OK


def test_a_provider_is_found_by_the_name_of_its_daemon_set() -> None:
    def found(name: str, ready: int) -> Status:
        status = {"numberReady": ready, "desiredNumberScheduled": 2}
        one = {"metadata": {"name": name, "namespace": "kube-system"}, "status": status}
        return doctor.csi_provider("gcp", [one]).status

    assert found("csi-secrets-store-provider-gcp", 2) is Status.OK
    assert found("csi-secrets-store-provider-gcp", 1) is Status.WARNING
    assert found("csi-secrets-store-provider-aws", 2) is Status.WARNING


def test_a_role_is_given_to_a_service_account_by_its_own_flag() -> None:
    command = grant_commands(
        permissions_for_pod(follow=False, out=True), "n", "system:serviceaccount:ci:bot"
    )
    assert (
        '"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["create"]},'
        '{"apiGroups":[""],"resources":["pods/proxy"],"verbs":["get"]}]' in command
    )
    assert command.endswith("-n n --role=dag --serviceaccount=ci:bot")
    assert grant_commands([], "n", "o'brien").endswith("""--role=dag '--user=o'"'"'brien'""")


def probe(state: dict[str, Any] | None, *, scheduled: bool = True) -> dict[str, Any]:
    status = str(scheduled)
    condition = {"type": "PodScheduled", "status": status, "message": "0/2 nodes are available"}
    statuses = [{"name": "probe", "image": "i", "state": state}] if state else []
    return {
        "metadata": {"name": "dag-probe-x", "namespace": "n", "uid": "one"},
        "spec": {"containers": [{"name": "probe", "image": "i"}]},
        "status": {"conditions": [condition], "containerStatuses": statuses},
    }


class Probing(Story):
    """The watch of a probe, which is told that the Pod was created and is then in this state."""

    def __init__(self, pod: dict[str, Any], *events: PodEventSeen) -> None:
        super().__init__(PROBE_RULES)
        self.tell(PodCreated(pod), *events)

    @property
    def outcome(self) -> ProbeOutcome:
        """The outcome of the probe, which is deleted now."""
        self.tell(DeletionAccepted())
        return outcome(self.result.ending, self.watch.pod, self.watch.patience.events())


def test_a_probe_that_nothing_is_known_of_is_waited_for_and_then_given_up() -> None:
    story = Probing(probe(waiting()))
    story.wait(59.9)
    assert not story.of(DeletePod)
    story.wait(0.1)
    words = "nothing ran for 60 s: the pod has not started: no scheduler has looked at it"
    assert (story.outcome.fate, story.outcome.message) == (Fate.WAITING, words)
    finding = judge(story.outcome, "done", "cannot")
    assert (finding.status, finding.message) == (
        Status.WARNING,
        f"no probe came to its end, so this is not known: {words}",
    )
    assert "kubectl get pods -n kube-system" in (finding.fix or "")


def test_an_image_that_is_still_being_pulled_was_not_refused() -> None:
    story = Probing(probe(waiting()), api_event("Pulling", 'Pulling image "i"'))
    story.wait(60)
    assert story.outcome == ProbeOutcome(Fate.PULLING, 'Pulling image "i"')
    assert judge(story.outcome, "done", "cannot").status is Status.OK


def test_an_image_that_cannot_be_pulled_is_refused() -> None:
    denied = Probing(probe(waiting("ImagePullBackOff", "denied")))
    denied.wait(10)
    assert denied.outcome.fate is Fate.REFUSED
    assert denied.outcome.hint == "the node cannot read that repository"
    missing = Probing(probe(waiting("ErrImagePull", "not found")))
    missing.wait(9.9)
    assert not missing.of(DeletePod)
    missing.wait(0.1)
    assert missing.outcome.fate is Fate.REFUSED


def test_a_mount_that_fails_is_given_time_to_heal_and_a_full_cluster_is_no_fault() -> None:
    story = Probing(probe(waiting()), api_event("FailedMount", "no such class"))
    story.wait(9.9)
    assert not story.of(DeletePod)
    story.wait(0.1)
    assert story.outcome == ProbeOutcome(Fate.REFUSED, "FailedMount: no such class")
    full = Probing(probe(None, scheduled=False))
    full.wait(10)
    assert full.outcome.fate is Fate.WAITING
    assert judge(full.outcome, "", "").status is Status.WARNING


@pytest.mark.parametrize(("code", "status"), [(0, "ok"), (3, "failed")])
def test_what_a_probe_says_is_its_termination_message(code: int, status: str) -> None:
    story = Probing(probe(ended(code, message="it has no make\n")))
    assert story.outcome == ProbeOutcome(Fate.ENDED, "it has no make", code)
    assert judge(story.outcome, "done", "cannot").status == status


def test_what_a_probe_says_to_do_is_the_remedy() -> None:
    message = encode_last_words("the bucket refuses", "ask for the role")
    story = Probing(probe(ended(3, message=message)))
    finding = judge(story.outcome, "done", "cannot", "look at it")
    assert (finding.message, finding.fix) == ("cannot: the bucket refuses", "ask for the role")


def test_an_image_without_a_shell_refuses_to_start() -> None:
    story = Probing(probe(ended(128, reason="StartError", message="no sh")))
    assert story.outcome == ProbeOutcome(Fate.REFUSED, "i cannot start: no sh")


def test_a_probe_that_runs_for_too_long_says_nothing() -> None:
    story = Probing(probe(RUNNING))
    story.wait(60)
    assert story.outcome == ProbeOutcome(Fate.WAITING, "the pod did not end within 60 s")


@pytest.mark.parametrize(
    ("uid_map", "status"),
    [
        (FULL_MAP, "failed"),
        ("", "failed"),
        ("         0 2231173120      65536", "ok"),
    ],
)
def test_a_node_that_ignores_the_wish_for_a_user_namespace_is_found(
    uid_map: str, status: str
) -> None:
    assert judge_userns(ProbeOutcome(Fate.ENDED, uid_map, 0)).status == status


def test_definitions_that_melange_cannot_load_are_a_warning() -> None:
    assert doctor.definitions("2 packages", []) == Finding(Status.OK, "2 packages")
    found = doctor.definitions("2 packages", [f"{name}.yaml:1: bad" for name in "abcde"])
    assert found.status is Status.WARNING
    assert found.message == "2 packages; a.yaml:1: bad; b.yaml:1: bad; c.yaml:1: bad; and 2 more"
    assert "--sdk-image" in str(found.fix)
