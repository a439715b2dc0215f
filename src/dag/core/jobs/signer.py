"""What a signer that is apart promises, and what voids that."""

from __future__ import annotations

PRIVILEGE_REACHES_KEY = (
    "--isolation privileged: a step that leaves its pod has its whole node, so it can read the signer's key"
    " if the signer runs there, too. Keep the two on different nodes, or build with --isolation userns"
)
