"""Kinds of values that flags take: how each is written, and what it is read as."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from dag.core.arch import Arch
from dag.errors import UsageError

T_co = TypeVar("T_co", covariant=True)

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
_KUBERNETES_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LONGEST = 87_600 * 3600
"""Seconds, ten years. Kubernetes takes no activeDeadlineSeconds above 2^31 - 1, and that of a Job is a
little longer than that of its pod:
https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/apis/core/validation/validation.go"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRule:
    """The kinds of files that a path may name; one in `dag.toml` is relative to that file."""

    file: bool = False
    directory: bool = False
    exists: bool = False
    dash: bool = False
    """`-` stands for the standard output."""
    url: bool = False
    """A URL is taken, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueKind(Generic[T_co]):
    """One kind of value; `parse` raises a UsageError that says what is wrong with a text."""

    metavar: str
    parse: Callable[[str], T_co]
    choices: tuple[str, ...] = ()
    """The only texts that are taken; empty is any."""
    path: PathRule | None = None
    package: bool = False
    """A shell completes it by the names of definitions."""


def choice(*words: str) -> ValueKind[str]:
    """Take one of some words."""
    return ValueKind(metavar="", parse=str, choices=words)


def whole(least: int, most: int | None = None) -> ValueKind[int]:
    """Take a whole number of at least `least` and at most `most`."""
    bounds = f"from {least} to {most}" if most is not None else f"of {least} or more"

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text, re.ASCII) else None
        if number is None or number < least or (most is not None and number > most):
            raise UsageError(f"{text!r} is not a whole number {bounds}")
        return number

    return ValueKind(metavar="NUMBER", parse=parse)


def _kubernetes_name(text: str) -> str:
    if not _KUBERNETES_NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} is no name in Kubernetes",
            hint="a name has lower-case letters, digits, - and ., and begins and ends without - or .",
        )
    return text


def _quantity(text: str) -> str:
    from dag.core.units import quantity

    quantity(text)
    return text


def _duration(text: str) -> float:
    from dag.core.units import duration

    seconds = duration(text)
    if seconds > _LONGEST:
        raise UsageError(
            f"{text!r} is longer than {_LONGEST // 3600}h: write a shorter time, or leave the flag out"
        )
    return seconds


def _architectures(text: str) -> tuple[Arch, ...]:
    return tuple(dict.fromkeys(Arch.parse(name.strip()) for name in text.split(",")))


def _url(text: str) -> str:
    from dag.core.web import check_uri

    check_uri(text)
    return text


def _location(text: str) -> str:
    from dag.core.web import login_hint, secret_of

    if "://" in text and (secret := secret_of(text)):
        raise UsageError(
            f"this URL has {secret}, which manifests, records and logs would show",
            hint=f"for a repository, {login_hint(text)}",
        )
    return text


def _assignment(text: str) -> str:
    from dag.core.web import is_secret_name, secret_of

    name, _, value = text.partition("=")
    if secret := "a secret" if is_secret_name(name) else secret_of(value):
        raise UsageError(
            f"{name} has {secret}, which manifests, records and logs would show",
            hint="have the Makefile read it from a file outside of the directory",
        )
    return text


TEXT = ValueKind(metavar="TEXT", parse=str)
PACKAGE = ValueKind(metavar="PKG", parse=str, package=True)
"""The name of a package, or what stands for one: a path, a target of make."""
NAME = ValueKind(metavar="NAME", parse=_kubernetes_name)
"""A name as Kubernetes has them: a path of its API is made of it."""
QUANTITY = ValueKind(metavar="QUANTITY", parse=_quantity)
"""A Kubernetes quantity above zero, kept as it was written."""
DURATION = ValueKind(metavar="DURATION", parse=_duration)
"""A duration as Go writes it, in seconds; at most ten years."""
ARCH = ValueKind(metavar="ARCH", parse=Arch.parse)
ARCHS = ValueKind(metavar="ARCH[,ARCH]", parse=_architectures)
"""One architecture or several with commas between them, each once."""
URL = ValueKind(metavar="URL", parse=_url)
"""A URL of http or https."""
FILE = ValueKind(metavar="FILE", parse=str, path=PathRule(file=True))
EXISTING_FILE = ValueKind(metavar="FILE", parse=str, path=PathRule(file=True, exists=True))
FILE_OR_STDOUT = ValueKind(metavar="FILE", parse=str, path=PathRule(file=True, dash=True))
DIRECTORY = ValueKind(metavar="DIRECTORY", parse=str, path=PathRule(directory=True))
EXISTING_DIRECTORY = ValueKind(
    metavar="DIRECTORY", parse=str, path=PathRule(directory=True, exists=True)
)
PATH_OR_URL = ValueKind(
    metavar="DIR|URL",
    parse=_location,
    path=PathRule(file=True, directory=True, exists=True, url=True),
)
"""A path where there is something, or a URL, which is not asked for yet."""
FILE_OR_URL = ValueKind(
    metavar="FILE", parse=_location, path=PathRule(file=True, exists=True, url=True)
)
ASSIGNMENT = ValueKind(metavar="NAME=VALUE", parse=_assignment)
"""A variable of make, which everybody may see."""
