"""What nobody may do who builds, where the key of a signer is."""

from __future__ import annotations

import pytest

from dag.core.setup.forbidding import FORBIDDEN, access_review
from dag.core.setup.steps import Forbid


def test_a_service_account_is_asked_for_with_its_groups() -> None:
    step = Forbid(title="", namespace="keys", user="system:serviceaccount:builds:default")
    review = access_review(step, "create", "", "pods/exec")["spec"]
    assert review["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:builds",
        "system:authenticated",
    ]
    assert review["resourceAttributes"] == {
        "namespace": "keys",
        "verb": "create",
        "group": "",
        "resource": "pods",
        "subresource": "exec",
    }


@pytest.mark.parametrize(
    "way",
    [
        # A Pod of one's own there mounts the key.
        *(("create", "batch", one) for one in ("jobs", "cronjobs")),
        *(("create", "", one) for one in ("pods", "replicationcontrollers")),
        *(("create", "apps", one) for one in ("daemonsets", "deployments")),
        *(("create", "apps", one) for one in ("replicasets", "statefulsets")),
        # So does the signer's, if it runs something else.
        *((verb, "batch", "cronjobs") for verb in ("update", "patch")),
        *((verb, "", "pods") for verb in ("update", "patch")),
        *((verb, "", f"pods/{one}") for one in ("exec", "attach") for verb in ("create", "get")),
        *((verb, "", "pods/ephemeralcontainers") for verb in ("update", "patch")),
        # A list of Secrets has what is in them, and so has the answer to a patch.
        *((verb, "", "secrets") for verb in ("get", "list", "watch", "update", "patch")),
        # The signer trusts what the ConfigMap says, and reaches its store as its account.
        *((verb, "", "configmaps") for verb in ("create", "update", "patch")),
        ("create", "", "serviceaccounts/token"),
        # What somebody else runs there could mount the key, too, and a kubelet runs commands in all of it.
        *((verb, "apps", "deployments") for verb in ("update", "patch")),
        *((verb, "", "replicationcontrollers") for verb in ("update", "patch")),
        *((verb, "", "nodes/proxy") for verb in ("get", "create")),
        # Who says which secret of a manager the key is chooses with what is signed.
        ("patch", "secrets-store.csi.x-k8s.io", "secretproviderclasses"),
        *((verb, "rbac.authorization.k8s.io", "roles") for verb in ("update", "patch")),
        # Whoever has admin rights over the namespace gives themselves the rest.
        *((verb, "rbac.authorization.k8s.io", "rolebindings") for verb in ("create", "patch")),
        ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
        ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
        ("impersonate", "", "users"),
        # A webhook could add the key to a Pod, or a container to the signer's.
        ("patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ],
)
def test_all_that_would_give_the_key_or_its_trust_away_is_asked_for(
    way: tuple[str, str, str],
) -> None:
    assert way in FORBIDDEN


def test_of_a_user_nobody_knows_the_groups() -> None:
    step = Forbid(title="", namespace="keys", user="ann")
    assert access_review(step, *FORBIDDEN[0])["spec"]["groups"] == ["system:authenticated"]
