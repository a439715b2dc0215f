"""Work that grows with the bytes and no faster: what is eight times as long takes about that.

What is quadratic takes 64 times as long. So the processor's time tells both apart, however busy the
machine is. `bench/linear.py` shows the growth itself.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.work import WORK, seconds


@pytest.mark.parametrize(("work", "size"), WORK.values(), ids=WORK)
def test_work_grows_with_the_bytes(work: Callable[[int], object], size: int) -> None:
    # A machine that is busy with something else is asked again.
    growths = (seconds(work, 8 * size) / max(seconds(work, size), 1e-4) for _ in range(3))
    assert any(growth < 24 for growth in growths)
