"""The flags of `dag image`."""

from __future__ import annotations

from typing import ClassVar

from dag.core.flags import flag, flag_group, switch
from dag.core.image.kinds import IMAGE, REPOSITORY
from dag.core.kinds import FILE
from dag.core.package.options import JsonOptions


@flag_group
class ImageOptions(JsonOptions):
    """The agent's image, and where it goes."""

    heading: ClassVar[str] = "Image"

    base: str | None = flag(
        IMAGE,
        "--base",
        "Make it on this image, which must have glibc and the Python that dag runs on.",
        shown="python:VERSION-slim, by digest",
        command="image",
    )
    push: str | None = flag(
        REPOSITORY, "--push", "Push it to this repository.", command="image", typed_only=True
    )
    save: str | None = flag(
        FILE,
        "--save",
        "Write it to this file, an OCI layout as a tar archive.",
        command="image",
        typed_only=True,
    )
    insecure_registry: bool = switch("--insecure-registry", "Speak plain HTTP with the registry.")
