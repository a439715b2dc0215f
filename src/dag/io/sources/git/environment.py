"""The environment in which git is run: with the user's credentials, or with none.

git finds credentials in many places: `~/.netrc`, helpers, headers and cookies of its configuration,
keys of ssh, tickets of Kerberos. Without leave to use them it sees nothing of the user's but how the
network is reached.
"""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING

from dag.core.sources.remotes import PUBLIC_SCHEMES, WITH_LOGIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ALWAYS = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GCM_INTERACTIVE": "never",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    # What the cache and its images have, whatever a user prefers for new repositories.
    "GIT_DEFAULT_HASH": "sha1",
    "GIT_DEFAULT_REF_FORMAT": "files",
}
_NOBODY = {
    "HOME": "/nonexistent",  # where libcurl looks for .netrc
    "XDG_CONFIG_HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}
# `git rev-parse --local-env-vars` would send git to another repository; the rest would let it say
# more than anybody else may read.
_LOCAL = re.compile(
    r"GIT_(?:ALTERNATE_OBJECT_DIRECTORIES|CONFIG|CONFIG_PARAMETERS|CONFIG_COUNT|OBJECT_DIRECTORY"
    r"|DIR|WORK_TREE|IMPLICIT_WORK_TREE|GRAFT_FILE|INDEX_FILE|NO_REPLACE_OBJECTS"
    r"|REPLACE_REF_BASE|PREFIX|SHALLOW_FILE|COMMON_DIR|NAMESPACE|TRACE\w*|CURL_VERBOSE)"
)
_LOGIN = re.compile(r"GIT_SSH\w*|SSH_AUTH_SOCK|KRB5\w*|NETRC")
_WAYS = (
    r"^(http\.(.*\.)?(proxy|proxysslcainfo|sslcainfo|sslcapath|sslverify|sslbackend|version)"
    r"|core\.gitproxy|url\.(https?|git)://[^@/]+(/.*)?\.insteadof)$"
)
"""The settings of a user that say how to reach the network, and not as whom."""
_HEADERS = r"^http\.(.*\.)?extraheader$"


def environment(*, credentials: bool) -> dict[str, str]:
    """Return the variables for git, which sees the user's configuration only with `credentials`."""
    given = {name: value for name, value in os.environ.items() if not _LOCAL.fullmatch(name)}
    if credentials:
        # A header goes wherever the answers lead.
        more = [("http.followRedirects", "false")] if _settings_of_the_user(_HEADERS) else []
        return given | _ALWAYS | _as_variables(more) | {"GIT_ALLOW_PROTOCOL": ":".join(WITH_LOGIN)}
    kept = {name: value for name, value in given.items() if not _LOGIN.fullmatch(name)}
    more = [*_settings_of_the_user(_WAYS), ("http.emptyAuth", "false")]
    settings = _as_variables(more) | {"GIT_ALLOW_PROTOCOL": ":".join(PUBLIC_SCHEMES)}
    return kept | _ALWAYS | _NOBODY | settings


def _as_variables(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    # Not as words of a command, which others may read: a proxy may have a password.
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


@cache
def _settings_of_the_user(pattern: str) -> tuple[tuple[str, str], ...]:
    """Return the settings whose names match, those of the system first."""
    given = {name: value for name, value in os.environ.items() if not _LOCAL.fullmatch(name)}
    return tuple(one for scope in ("--system", "--global") for one in _read(scope, pattern, given))


def _read(scope: str, pattern: str, given: Mapping[str, str]) -> list[tuple[str, str]]:
    command = ["git", "config", scope, "--includes", "--null", "--type=path"]
    try:
        done = subprocess.run(
            [*command, "--get-regexp", pattern],
            env=dict(given),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:  # whoever needs git says so
        return []
    items = done.stdout.decode(errors="surrogateescape").split("\0")
    return [
        (key, value) for key, newline, value in (one.partition("\n") for one in items) if newline
    ]
