"""One container's log, put together from streams that break: each line once, in order.

The server cuts `sinceTime` to whole seconds, so a new stream begins with lines that are known; they
are recognised by their timestamp and text, as often as they were seen, because several lines may
carry one timestamp and stdout's and stderr's need not ascend. Kubelet serves only the newest file
of a rotated log: when a new stream begins without the last line seen, something before it is lost.
What carries no timestamp is kubelet's own remark ("unable to retrieve container logs"), or the rest
of a long line that a stream began within.

Source of the format: https://kubernetes.io/docs/concepts/cluster-administration/logging/ and the
`timestamps` and `sinceTime` parameters of the pod log API.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

_OVERLAP = timedelta(seconds=2)
# What is kept for recognition must reach back further than what is asked for again.
_KEPT = timedelta(seconds=5)
_STAMP = re.compile(rb"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
"""RFC 3339, as Go writes it; the years are those that can be reckoned with."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where lines are missing: after how many lines, and between which timestamps."""

    after_line: int
    after: str
    before: str


class PodLog:
    """The lines of one container's log, fed as `TIMESTAMP TEXT` without newline, each counted once."""

    def __init__(self) -> None:
        self.lines = 0
        self.bytes = 0
        """Without carriage returns, of which container runtimes drop some, and with a newline each."""
        self.gaps: list[Gap] = []
        self.remark: str | None = None
        """The last thing in the stream that was no line of the log."""
        self._recent: deque[tuple[bytes, int]] = deque()
        self._last: bytes | None = None
        self._trim_at = b""
        self._expected: Counter[tuple[bytes, int]] = Counter()
        self._resuming = False
        self._last_seen_again = False

    def resume(self) -> datetime | None:
        """Begin another stream; return from when on it should be asked for, None for the beginning."""
        self._resuming = bool(self._recent)
        self._last_seen_again = False
        if not self._recent or self._last is None:
            return None
        self._expected = Counter(self._recent)
        return max(_time(stamp) for stamp, _ in self._recent) - _OVERLAP

    def feed(self, line: bytes) -> bytes | None:
        """Take a line of the stream; return its text, or None if it is known already or no line."""
        stamp, _, text = line.partition(b" ")
        if not self._is_stamp(stamp):
            self.remark = line.decode(errors="replace")
            return None
        entry = (stamp, hash(text))
        if self._resuming:
            if self._expected[entry] > 0:
                self._expected[entry] -= 1
                self._last_seen_again |= entry == self._recent[-1]
                return None
            if not self._last_seen_again:
                self.gaps.append(
                    Gap(self.lines, self._recent[-1][0].decode(), stamp.decode("ascii", "replace"))
                )
            self._resuming = False
            self._expected.clear()
        self.lines += 1
        self.bytes += len(text) - text.count(b"\r") + 1
        self._last = stamp
        self._recent.append(entry)
        self._trim(stamp)
        return text

    def _is_stamp(self, stamp: bytes) -> bool:
        if not _STAMP.fullmatch(stamp):
            return False
        if stamp[:19] == self._trim_at and stamp.endswith(b"Z"):
            return True
        try:  # the rest of a line that a stream began within may look like it
            _time(stamp)
        except ValueError:
            return False
        return True

    def _trim(self, stamp: bytes) -> None:
        # Seconds are compared as text (19 characters), so that most lines cost no date arithmetic.
        if stamp[:19] == self._trim_at:
            return
        self._trim_at = stamp[:19]
        oldest = _time(stamp) - _KEPT
        while len(self._recent) > 1 and _time(self._recent[0][0]) < oldest:
            self._recent.popleft()


def _time(stamp: bytes) -> datetime:
    # Nanoseconds and zone: 2026-11-23T23:51:36.123456789Z; Python reads microseconds.
    text = stamp.decode("ascii")
    zone = "+00:00" if text.endswith("Z") else text[-6:]
    return datetime.fromisoformat(text[:19] + zone)
