"""Durations as Go writes them, Kubernetes quantities, and sizes in words."""

from __future__ import annotations

import re
from decimal import Decimal

from dag.errors import UsageError

# https://pkg.go.dev/time#ParseDuration
_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_LARGEST = Decimal(2**63 - 1)
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)")


def duration(text: str) -> float:
    """Read a duration: `1h30m`, `90s`, `0`, in seconds.

    Raises:
        UsageError: `text` is no duration, or a negative one.

    """
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{text!r} is no duration: write it like 90s, 5m or 1h30m")
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in parts))


def quantity(text: str) -> Decimal:
    """Read a Kubernetes quantity: `500m` is 0.5, `2Gi` is 2147483648.

    Raises:
        UsageError: `text` is no quantity, not above zero, or larger than any that Kubernetes has.

    """
    value = amount(text)
    if value <= 0:
        raise UsageError(f"{text!r} requests nothing: a quantity must be above zero")
    if value > _LARGEST:
        raise UsageError(f"{text!r} is more than Kubernetes can count: a quantity is below 8Ei")
    return value


def amount(text: str) -> Decimal:
    """Read a Kubernetes quantity that may be zero, as the API has them.

    Raises:
        UsageError: `text` is no quantity.

    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no Kubernetes quantity: write it like 500m, 4, 2Gi or 1.5G")
    number, exponent, suffix = match.groups()
    return Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""])


def size_words(number: float) -> str:
    """Return how much so many bytes are: 10 MiB, 1.5 GiB."""
    return f"{number / (1 << 30):.3g} GiB" if number >= 1 << 30 else f"{number / (1 << 20):.0f} MiB"
