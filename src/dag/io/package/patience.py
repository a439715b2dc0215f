"""How long servers are waited for, and what those are called that are not to be had.

It is apart from what asks them, because HTTP takes long to import, and most builds ask nobody.
"""

from __future__ import annotations

from msgspec import Struct

from dag.io.retries import MayHeal, RetryPolicy


class Unreachable(MayHeal):
    """A server that is not asked, or does not answer as it should; says why, without the URL."""


class BrokenOff(Unreachable):
    """A server that took the connection and broke it off: the next one may bring more."""

    heals = True


class Forbidden(Unreachable):
    """A server that is not asked, because it is none of the internet's and the user has not named it."""


class ServerPatience(Struct, frozen=True, kw_only=True):
    """How long a server is waited for, in seconds."""

    connect: float = 20.0
    silence: float = 30.0
    """Between two pieces of an answer."""
    in_all: float = 300.0
    """Of a request with all its redirects."""
    retries: RetryPolicy = RetryPolicy(attempts=4, longest=4.0, longest_asked=20.0, in_all=60.0)
    """How often a server is asked again that cannot answer just now, or breaks off."""
