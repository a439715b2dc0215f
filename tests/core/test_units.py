"""Durations and quantities: what Go and Kubernetes accept, and nothing else."""

import contextlib
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.units import duration, quantity
from dag.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("90s", 90), ("0", 0), ("1.5h", 5400), ("300ms", 0.3), (".5m", 30)],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "-5m", "5 m", "m", "1h30", "1d", "5m!", "∞"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="write it like 90s"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", "0.5"), ("2Gi", "2147483648"), ("1e3", "1000"), ("1.5G", "1500000000"), ("4", "4")],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: str, value: str) -> None:
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "0", "-1", "2GB", "2 Gi", "1e", "Gi", "1.2.3", "0m", "1e999"])
def test_what_kubernetes_would_refuse_is_refused_here(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(repr(text))):
        quantity(text)


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_a_usage_error(text: str) -> None:
    for read in (duration, quantity):
        with contextlib.suppress(UsageError):
            assert read(text) >= 0
