"""How long a request to the API is repeated: for a while, and for as long as the server itself asks."""

from __future__ import annotations

import time

from dag.io.kube.answers import ApiError

_ASKED_IN_ALL = 60.0
"""Seconds that a server may ask for (Retry-After) beyond the patience of whoever asks it."""


class RequestPatience:
    """The patience with one request. An API server that is busy says when to come back.

    https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
    """

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self._until = time.monotonic() + seconds
        self._asked = _ASKED_IN_ALL

    @property
    def is_over(self) -> bool:
        """Return whether it is time to give up."""
        return time.monotonic() > self._until

    def pause(self, error: ApiError, usual: float) -> float:
        """Return how many seconds to wait after an error; what the server asks for counts extra.

        Who asks for too much is asked again as if it had said nothing.
        """
        asked = error.retry_after or 0.0
        if asked > self._asked:
            return usual
        self._asked -= asked
        self._until += asked
        return max(usual, asked)
