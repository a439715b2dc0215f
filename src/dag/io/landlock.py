"""A process gives up rights for good, for itself and for all that it starts: Landlock of Linux.

As a program it gives up abstract sockets, and becomes the command that its arguments are.
https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""The numbers of the system calls, which are the same on all architectures that apks are for."""
_ASK_VERSION = 1
_SET_NO_NEW_PRIVS = 38
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights on files that a version knows, as bits, from that version on."""
_CONNECT_AND_BIND = 0b11  # of TCP, from version 4 on
_ABSTRACT_SOCKETS, _SIGNALS = 0b01, 0b10  # to and of others, from version 6 on


def version() -> int:
    """Return the version of Landlock in this kernel; 0 if there is none."""
    return max(_call(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION), 0)


def give_up_everything() -> None:
    """Open no file any more, use no TCP, and reach no process but one's own children.

    What is open stays so. A kernel that does not know one of these rights leaves it as it is.
    """
    known = version()
    files = max((bits for since, bits in _FILES.items() if since <= known), default=0)
    _restrict(
        files=files,
        network=_CONNECT_AND_BIND if known >= 4 else 0,
        scope=_ABSTRACT_SOCKETS | _SIGNALS if known >= 6 else 0,
    )


def give_up_abstract_sockets() -> None:
    """Connect to no abstract Unix socket of others any more, as far as the kernel knows that right.

    These have no place in the file system, so a read-only one is no obstacle.
    """
    _restrict(scope=_ABSTRACT_SOCKETS if version() >= 6 else 0)


def _restrict(*, files: int = 0, network: int = 0, scope: int = 0) -> None:
    if not (files or network or scope):
        return
    rights = struct.pack("QQQ", files, network, scope)
    # An older kernel knows fewer fields, and takes more of them if they are zero.
    ruleset = _call(_CREATE_RULESET, rights, ctypes.c_size_t(len(rights)), 0)
    if ruleset >= 0:
        if _call(_RESTRICT_SELF, ruleset, 0) < 0:  # only root may keep programs like sudo
            _LIBC.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            _call(_RESTRICT_SELF, ruleset, 0)
        _LIBC.close(ruleset)


def _call(number: int, *arguments: object) -> int:
    return int(_LIBC.syscall(number, *arguments))


_LIBC = ctypes.CDLL(None)


def main() -> None:
    """Give up abstract sockets, and become another program."""
    give_up_abstract_sockets()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
