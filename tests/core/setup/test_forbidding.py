"""What nobody may do who builds, where the key of a signer is."""

from __future__ import annotations

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


def test_all_that_would_give_the_key_away_is_asked_for() -> None:
    asked = {f"{verb} {resource}" for verb, _, resource in FORBIDDEN}
    assert asked >= {"create pods", "create jobs", "create cronjobs", "get secrets"}
    step = Forbid(title="", namespace="keys", user="ann")
    assert access_review(step, *FORBIDDEN[0])["spec"]["groups"] == ["system:authenticated"]
