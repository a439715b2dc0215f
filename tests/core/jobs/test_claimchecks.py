"""A claim that cannot be a store is refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from dag.core.jobs.claimchecks import require_shared_claim
from dag.core.jobs.claims import Claim
from dag.errors import UsageError

CLAIM = Claim("packages")


def found(*modes: str, phase: str = "Bound") -> dict[str, Any]:
    return {"spec": {"accessModes": list(modes)}, "status": {"phase": phase}}


@pytest.mark.parametrize("phase", ["Bound", "Pending"])
def test_a_claim_that_all_nodes_mount_is_taken(phase: str) -> None:
    require_shared_claim(CLAIM, "n", found("ReadWriteMany", phase=phase))


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (None, "there is no volume claim packages in namespace n"),
        (found("ReadWriteOnce"), "its access modes are ReadWriteOnce"),
        (found("ReadWriteMany", phase="Lost"), "has lost its volume"),
    ],
)
def test_another_one_is_refused(claim: dict[str, Any] | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        require_shared_claim(CLAIM, "n", claim)


def test_nobody_is_led_to_a_file_system_that_user_namespaces_cannot_have() -> None:
    with pytest.raises(UsageError) as refused:
        require_shared_claim(CLAIM, "n", found("ReadWriteOnce"))
    assert "ID-mapped mounts, which NFS does not" in str(refused.value.hint)
