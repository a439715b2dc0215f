"""The words by which clusters refuse a Pod: each has its remedy, and others have none."""

from __future__ import annotations

import pytest

from dag.core.doctor.checks import Status, pod_refused, pod_security
from dag.core.kube.policies import policy_remedy, words_of_policy

LABEL = "kubectl label --overwrite namespace n pod-security.kubernetes.io/enforce=privileged"
RULES = 'violates PodSecurity "baseline:latest": seccompProfile (container "build" must not …)'
# Each is what a server of that kind answers.
CONSTRAINT = (
    'pods "dag-" is forbidden: unable to validate against any security context constraint: [provider'
    ' "anyuid": Forbidden: not usable by user or serviceaccount, .containers[0].procMount: Invalid]'
)
WEBHOOK = (
    'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource Pod/n/dag- was blocked'
    " due to the following policies\n\nrequire-run-as-nonroot"
)
OWN = (
    "pods \"dag-x\" is forbidden: ValidatingAdmissionPolicy 'not-root' with binding 'here' denied"
    " request: no pod is root"
)


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (f'pods "dag-x" is forbidden: {RULES}', "pod-security.kubernetes.io/enforce=privileged"),
        (CONSTRAINT, "gives the service account a security context constraint"),
        (WEBHOOK, "that is a policy of this cluster"),
        (OWN, "that is a policy of this cluster"),
    ],
)
def test_a_refusal_by_a_policy_has_a_remedy(message: str, remedy: str) -> None:
    assert remedy in (policy_remedy(message) or "")
    found = pod_refused("n", message)
    assert found is not None
    assert found.status is Status.FAILED
    assert f"namespace n admits no pod that builds: {words_of_policy(message)}" == found.message


@pytest.mark.parametrize(
    "message",
    [
        'pods "dag-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1',
        'pods is forbidden: User "limited" cannot create resource "pods" in API group ""',
        'pods "dag-" is forbidden: error looking up service account n/builder: not found',
    ],
)
def test_what_no_policy_says_is_for_others_to_judge(message: str) -> None:
    assert policy_remedy(message) is None
    assert pod_refused("n", message) is None


def test_the_level_of_pod_security_has_a_command_that_changes_it() -> None:
    found = pod_refused("n", f'pods "dag-x" is forbidden: {RULES}')
    assert found is not None
    assert found.fix == LABEL
    assert found.message == f"namespace n admits no pod that builds: {RULES}"


@pytest.mark.parametrize(
    ("confined", "broken"),
    [(True, "seccomp profile Unconfined and procMount"), (False, "privilege")],
)
def test_where_nobody_may_ask_the_label_of_the_namespace_tells(confined: bool, broken: str) -> None:
    enforced = {"pod-security.kubernetes.io/enforce": "baseline"}
    found = pod_security("n", {"metadata": {"labels": enforced}}, confined=confined)
    assert found.status is Status.FAILED
    assert broken in found.message
    assert found.fix == LABEL
    assert pod_security("n", {"metadata": {}}, confined=confined).status is Status.OK
    assert pod_security("n", None, confined=confined).status is Status.WARNING
