"""Kinds of values of flags that name images."""

from __future__ import annotations

from dag.core.image.references import parse_reference, parse_repository
from dag.core.kinds import ValueKind


def _image(text: str) -> str:
    parse_reference(text)
    return text


def _repository(text: str) -> str:
    parse_repository(text)
    return text


IMAGE = ValueKind(metavar="IMAGE", parse=_image)
"""The name of an image, kept as it was written."""
REPOSITORY = ValueKind(metavar="REPOSITORY", parse=_repository)
"""The name of a repository of images, without tag and digest."""
