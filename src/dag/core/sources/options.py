"""The flags of `dag cache`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dag.core.flags import Options, arguments, flag, flag_group, list_flag, switch
from dag.core.image.kinds import IMAGE, REPOSITORY
from dag.core.kinds import (
    DIRECTORY,
    FILE_OR_URL,
    PACKAGE,
    PATH_OR_URL,
    QUANTITY,
    URL,
    whole,
)
from dag.core.package.options import DefinitionOptions, JsonOptions
from dag.errors import UsageError

PRUNE = "prune"


@flag_group
class CacheWords(Options):
    """The task, and the packages that it is for."""

    words: tuple[str, ...] = arguments(
        PACKAGE,
        "[prune] [PKG]...",
        "The packages whose sources, and those of what they need, are fetched. Without any, it is "
        "all of them. With `prune` before them, everything else is removed.",
    )

    @property
    def pruning(self) -> bool:
        """True if the cache is to be emptied of what no definition names."""
        return self.words[:1] == (PRUNE,)

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that are asked for; empty is all of them."""
        return self.words[1:] if self.pruning else self.words


@flag_group
class FetchOptions(Options):
    """The cache, and how it is filled."""

    heading: ClassVar[str] = "Cache"

    out: str | None = flag(
        DIRECTORY,
        "-o --out",
        "Keep the cache in this directory. `dag build` uses the default one.",
        shown="cache in the directory of --dir",
        command="cache",
    )
    git: bool = switch(
        "--git",
        "Fetch what git-checkout steps clone, too. If false, only files are fetched.",
        default=True,
    )
    jobs: int = flag(whole(1, 512), "--jobs", "Make this many transfers at once.", default="128")
    per_host: int = flag(
        whole(1, 512),
        "--per-host",
        "Make at most this many of them with one host.",
        default="32",
    )
    mirrors: tuple[str, ...] = list_flag(URL, "--mirror", "Ask for URL/sha256:HEX first.")
    max_size: str = flag(
        QUANTITY, "--max-size", "Take no file that is larger than this.", default="8Gi"
    )
    verify: bool = switch("--verify", "Read every file again, also where nothing has changed.")
    credentials: bool = switch(
        "--credentials",
        "Log in where a server asks for it, as git and curl would: with ~/.netrc, the helpers of "
        "git, and ssh. Only the command line can ask for that.",
        typed_only=True,
    )


@flag_group
class FetchSelectionOptions(Options):
    """The plan of `dag build` whose sources are fetched."""

    heading: ClassVar[str] = "Selection"

    only: bool = switch("--only", "Fetch for just these packages, not for what they depend on.")
    repositories: tuple[str, ...] = list_flag(
        PATH_OR_URL,
        "-r --repository",
        "Do not fetch for what this repository has, as `dag build` does not build that.",
    )
    keyrings: tuple[str, ...] = list_flag(
        FILE_OR_URL,
        "--keyring",
        "Trust packages that are signed with this public key, as `dag build` does.",
    )


@flag_group
class CacheOutputOptions(JsonOptions):
    """Output, for people or for programs."""

    heading: ClassVar[str] = "Output"

    dry_run: bool = switch(
        "--dry-run", "Only list what is there, what is missing and what would be removed."
    )


@flag_group
class CacheImageOptions(Options):
    """The cache as an image."""

    heading: ClassVar[str] = "Image"
    needs: ClassVar[Mapping[str, str]] = {
        "bundle_base": "--bundle-repo",
        "agent_image": "--bundle-repo",
        "insecure_registry": "--bundle-repo or --from-bundle",
    }

    bundle_repo: str | None = flag(
        REPOSITORY,
        "--bundle-repo",
        "Push the cache as an image to this repository. Only the command line can ask for that.",
        typed_only=True,
    )
    bundle_base: str | None = flag(
        IMAGE,
        "--bundle-base",
        "Make the agent's image on this one, which must have glibc and the Python that dag runs on.",
        shown="python:VERSION-slim, by digest",
    )
    agent_image: str | None = flag(
        IMAGE,
        "--agent-image",
        "Put the cache on top of this image, which `dag image` has made, and make none.",
    )
    insecure_registry: bool = switch("--insecure-registry", "Speak plain HTTP with the registry.")
    from_bundle: str | None = flag(
        IMAGE,
        "--from-bundle",
        "Only fill the cache from this image, which `--bundle-repo` has pushed.",
    )


@flag_group
class CacheOptions(
    CacheWords,
    DefinitionOptions,
    FetchSelectionOptions,
    FetchOptions,
    CacheImageOptions,
    CacheOutputOptions,
):
    """The flags of `dag cache`."""

    @property
    def is_planned(self) -> bool:
        """True if it is not for all that the definitions name."""
        return bool(self.packages or self.repositories)

    def check(self) -> None:
        """Refuse what makes no sense, before anything is read.

        Raises:
            UsageError: two flags exclude each other.

        """
        if self.from_bundle is not None and (self.words or self.bundle_repo):
            raise UsageError("--from-bundle only fills the cache: it takes no packages and no push")
