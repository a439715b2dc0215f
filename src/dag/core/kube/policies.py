"""Knows the words by which clusters refuse a Pod for what it may do, and who mends that."""

from __future__ import annotations

import re

ENFORCE = "pod-security.kubernetes.io/enforce"
"""https://kubernetes.io/docs/concepts/security/pod-security-admission/"""
_POD_SECURITY = "violates PodSecurity"
_REMEDIES = {
    _POD_SECURITY: f"who runs the cluster labels the namespace with {ENFORCE}=privileged: no other level of"
    " Pod Security admits what builds",
    # https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html
    "unable to validate against any security context constraint": "who runs the cluster gives the service"
    " account a security context constraint that admits this: docs/pod.md lists what builds need",
    # Webhooks, such as those of Kyverno and Gatekeeper, and policies of the API server itself.
    r"admission webhook \S+ denied the request|ValidatingAdmissionPolicy '.*' denied request": "that is a"
    " policy of this cluster: who runs it can leave out this namespace, and docs/pod.md lists what builds"
    " need",
}
"""What to do about a refusal, by a pattern of its words."""
_PREFIX = re.compile(r"""^\S+ "[^"]*" is forbidden: """)


def policy_remedy(message: str) -> str | None:
    """Return what to do if an API server refuses by a policy, or None if that is not why it refuses."""
    return next((remedy for words, remedy in _REMEDIES.items() if re.search(words, message)), None)


def is_pod_security(message: str) -> bool:
    """Return whether an API server refuses by the level of Pod Security that a namespace enforces."""
    return _POD_SECURITY in message


def words_of_policy(message: str) -> str:
    """Return what a policy says, without the name of the object that it says it of."""
    return _PREFIX.sub("", message)
