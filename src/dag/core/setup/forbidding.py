"""What nobody may do who builds, where the key of a signer is."""

from __future__ import annotations

from dag.core.kube.objects import KubeObject
from dag.core.setup.steps import Forbid

_RBAC = "rbac.authorization.k8s.io"
_WORKLOADS = (
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "pods"),
    ("", "replicationcontrollers"),
    *(("apps", one) for one in ("daemonsets", "deployments", "replicasets", "statefulsets")),
)
"""What has a Pod made, and so one that mounts whatever is in the namespace."""
FORBIDDEN = (
    *(("create", group, one) for group, one in _WORKLOADS),
    *(
        (verb, group, one)
        for group, one in _WORKLOADS
        if one not in ("jobs", "pods")  # the template of a Job never changes
        for verb in ("update", "patch")
    ),
    # Before Kubernetes 1.35 whoever may get it may do it, by a WebSocket:
    # https://github.com/kubernetes/kubernetes/pull/134577
    *((verb, "", f"pods/{one}") for one in ("exec", "attach") for verb in ("create", "get")),
    *((verb, "", "pods") for verb in ("update", "patch")),
    *((verb, "", "pods/ephemeralcontainers") for verb in ("update", "patch")),
    *((verb, "", "nodes/proxy") for verb in ("get", "create")),  # runs commands in any Pod
    ("create", "", "serviceaccounts/token"),
    *((verb, "", "secrets") for verb in ("get", "list", "watch", "update", "patch")),
    *((verb, "", "configmaps") for verb in ("create", "update", "patch")),
    *(
        (verb, _RBAC, one)
        for one in ("rolebindings", "clusterrolebindings")
        for verb in ("create", "update", "patch")
    ),
    *(
        (verb, _RBAC, one)
        for one in ("roles", "clusterroles")
        for verb in ("update", "patch", "escalate")
    ),
    *(("impersonate", "", one) for one in ("users", "groups", "serviceaccounts")),
    # What changes each Pod that somebody makes can mount the key in one of its own.
    *(
        (verb, "admissionregistration.k8s.io", one)
        for one in ("mutatingwebhookconfigurations", "mutatingadmissionpolicies")
        for verb in ("create", "update", "patch")
    ),
    *(
        (verb, "secrets-store.csi.x-k8s.io", "secretproviderclasses")
        for verb in ("update", "patch")
    ),
)
"""What would give somebody the key of a signer, or its trust: verb, API group, resource."""


def _groups_of(user: str) -> list[str]:
    """Return the groups that a user has for certain.

    https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
    """
    words = user.split(":")
    if user.startswith("system:serviceaccount:") and len(words) == 4:
        mine = ["system:serviceaccounts", f"system:serviceaccounts:{words[2]}"]
        return [*mine, "system:authenticated"]
    return ["system:authenticated"]


NOT_APART = (
    "{step.user} may do this in namespace {step.namespace}, so the key is not apart. Take that right away, or"
    " give the signer another namespace"
)


def forbidden_words(step: Forbid, verb: str, _group: str, resource: str) -> str:
    """Return that somebody may do what nobody may who builds."""
    return f"{verb} {resource}: {NOT_APART.format(step=step)}"


REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def access_review(step: Forbid, verb: str, group: str, resource: str) -> KubeObject:
    """Return the question to the API server whether somebody may do something in a namespace."""
    name, _, below = resource.partition("/")
    asked = {"namespace": step.namespace, "verb": verb, "group": group, "resource": name}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": step.user,
            "groups": _groups_of(step.user),
            "resourceAttributes": {**asked, **({"subresource": below} if below else {})},
        },
    }
