"""The capabilities of processes in containers, as their kernel tells of them."""

from __future__ import annotations

import re

OF_BUILDS = sum(1 << number for number in (1, 3, 6, 7, 31))
"""DAC_OVERRIDE, FOWNER, SETGID, SETUID and SETFCAP: what a build has in a pod without privilege.

https://github.com/torvalds/linux/blob/master/include/uapi/linux/capability.h
"""
NOT_PASSED_ON = {"CapInh": 0, "CapAmb": 0}
"""No program gets a capability that its user would not have by itself."""


def capabilities(status: str) -> dict[str, int]:
    """Return the sets of capabilities that a /proc/PID/status names."""
    return {name: int(mask, 16) for name, mask in re.findall(r"(Cap\w+):\s+([0-9a-f]{16})", status)}
