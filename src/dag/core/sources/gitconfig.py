"""The configuration that leads git, in a step of a build, to the repositories of the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BUILD_CACHE = "/var/cache/melange"
"""The path at which steps of a build see the cache, whatever `--cache-dir` it came from."""
CONFIG_NAME = "gitconfig"
"""The file of the cache that git in a step reads."""
REDIRECT = "gitconfig"
"""The file in a repository that leads git to it; the cache's own includes it."""
ENV_NAME = "melange.env"
ENV_FILE = f"GIT_CONFIG_SYSTEM={BUILD_CACHE}/{CONFIG_NAME}\n"
"""The text for melange's `--env-file`, by which the variable gets to git in a step that no bwrap of ours
runs. melange writes what is there into packages."""


def git_config(redirected: Mapping[str, Iterable[str]]) -> str:
    """Return the configuration under which git, in a step of a build, uses the cache.

    `redirected` has the repositories of the cache, and for each the URIs that lead to it;
    `redirect_config` gives the rest. git reads this for each of its commands, so it is kept short.
    """
    lines = [
        "# Written by `dag cache`.",
        "[include]",
        "\tpath = /etc/gitconfig",
        "[safe]",
        "\tdirectory = *",
        '[protocol "file"]',
        "\tallow = always",
        "[uploadpack]",
        "\tallowFilter = true",
        "\tallowAnySHA1InWant = true",
    ]
    # insteadOf takes whatever begins like a URI. The condition is exact, and `git clone` asks it
    # after it has written down the remote: another repository's URI stays as it is, also if
    # nobody has heard of it yet. https://git-scm.com/docs/git-config#_conditional_includes
    for path, bases in sorted(redirected.items()):
        for base in bases:
            lines.append(f'[includeIf "hasconfig:remote.*.url:{base}"]')
            lines.append(f"\tpath = git/{path}.git/{REDIRECT}")
    return "\n".join(lines) + "\n"


def redirect_config(path: str, bases: Iterable[str]) -> str:
    """Return the configuration that `git_config` includes for one repository."""
    # Without .git, which git itself tries.
    lines = [f'[url "file://{BUILD_CACHE}/git/{path}"]']
    lines += [f"\tinsteadOf = {base}" for base in bases]
    return "\n".join(lines) + "\n"
