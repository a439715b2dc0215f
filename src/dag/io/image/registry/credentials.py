"""Finds credentials where `docker login` leaves them: `config.json` and its credential helpers.

`$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`; `credHelpers`, `credsStore`, `auths`, in
Docker's order. https://github.com/docker/cli/blob/master/cli/config/configfile/file.go and, for the
helpers' protocol, https://github.com/docker/docker-credential-helpers#development.
"""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dag.core.image.descriptors import parse_object
from dag.core.image.references import DEFAULT_HOST
from dag.core.limits import CREDENTIALS, TooLarge
from dag.errors import InfrastructureError
from dag.io.files import read_bytes

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""The key of Docker Hub's credentials, for the sake of clients of its first protocol."""

IDENTITY_TOKEN_USER = "<token>"  # noqa: S105  # a marker of the protocol, not a secret
_HELPER_TIMEOUT = 60.0
"""Seconds for a helper, which may ask a person for a password."""


@dataclass(frozen=True)
class Credentials:
    """A user and a secret, or an identity token, and where they were found (fit to be shown)."""

    origin: str
    username: str = ""
    secret: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """Return the value of a Basic Authorization header."""
        pair = f"{self.username}:{self.secret}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


@dataclass(frozen=True)
class Lookup:
    """The credentials for a host, or the reason why there are none."""

    credentials: Credentials | None
    searched: str

    def describe(self) -> str:
        """Return what an error says of the credentials that were used."""
        if self.credentials is None:
            return f"no credentials: {self.searched}"
        user = f" of {self.credentials.username}" if self.credentials.username else ""
        return f"credentials{user} from {self.credentials.origin}"


def config_path() -> Path:
    """Return where Docker's configuration is, whether or not it exists."""
    directory = os.environ.get("DOCKER_CONFIG")
    return (Path(directory) if directory else Path.home() / ".docker") / "config.json"


def look_up(host: str) -> Lookup:
    """Return the credentials for a registry's host, the port included.

    A helper that is not there or fails is no error yet: what is public needs no credentials, and if
    access is denied, the message says it.

    Raises:
        InfrastructureError: the configuration cannot be read, or is no JSON.

    """
    path = config_path()
    config = _read_config(path)
    helper = _table(config, "credHelpers").get(host) or config.get("credsStore")
    searched = f"{path} has none for {host}" if config else f"{path} does not exist"
    if isinstance(helper, str) and helper:
        found = _ask_helper(helper, host)
        if isinstance(found, Credentials):
            return Lookup(found, searched)
        searched = found
    return Lookup(_from_auths(_table(config, "auths"), host, path), searched)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return parse_object(read_bytes(path, CREDENTIALS))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except TooLarge:
        raise
    except (OSError, ValueError) as error:
        # The file holds secrets, so its text is not shown.
        why = error.strerror if isinstance(error, OSError) else "it is no JSON object"
        raise InfrastructureError(
            f"{path} cannot be read: {why}", hint="mend it, or point $DOCKER_CONFIG elsewhere"
        ) from None


def _table(config: dict[str, Any], key: str) -> dict[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def _ask_helper(helper: str, host: str) -> Credentials | str:
    """Return what `docker-credential-HELPER` has, or in words why it has nothing."""
    if "\0" in helper or "/" in helper:
        return f"{helper!r} is no name of a credential helper"
    program = f"docker-credential-{helper}"
    server = DOCKER_HUB_KEY if host == DEFAULT_HOST else host
    try:
        done = subprocess.run(
            [program, "get"],
            input=server,
            capture_output=True,
            text=True,
            timeout=_HELPER_TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        return f"{program} is not on the PATH"
    except (OSError, UnicodeDecodeError) as error:
        return f"{program} failed: {error}"
    except subprocess.TimeoutExpired:
        return f"{program} did not answer within {_HELPER_TIMEOUT:.0f} s"
    if done.returncode != 0:
        # A helper that fails says why on stdout; one that works puts the secret there.
        why = (done.stdout.strip() or done.stderr.strip() or "no reason given").splitlines()[0]
        return f"{program} has none for {server}: {why[:200]}"
    try:
        answer = parse_object(done.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
        f"{username}{secret}".encode()
    except (ValueError, KeyError):
        return f"{program} gave an answer that is no credential"
    if not secret:
        return f"{program} has none for {server}"
    if username == IDENTITY_TOKEN_USER:
        return Credentials(program, identity_token=secret)
    return Credentials(program, username, secret)


def _from_auths(auths: dict[str, Any], host: str, path: Path) -> Credentials | None:
    entries = [(key, entry) for key, entry in auths.items() if _host_of(key) == host]
    # An exact key first, as an old one with a scheme may lie beside it.
    entries.sort(key=lambda item: item[0] != host)
    for _, entry in entries:
        if not isinstance(entry, dict):
            continue
        username, secret = str(entry.get("username") or ""), str(entry.get("password") or "")
        if encoded := entry.get("auth"):
            username, secret = _decode(str(encoded), host, path)
        token = str(entry.get("identitytoken") or "")
        try:
            f"{username}{secret}{token}".encode()
        except UnicodeEncodeError:
            raise _undecodable_error(host, path) from None
        if token:
            return Credentials(str(path), username, identity_token=token)
        if username or secret:
            return Credentials(str(path), username, secret)
    return None


def _host_of(key: str) -> str:
    # Older clients wrote https://HOST/v1/ and the like.
    host = key.removeprefix("https://").removeprefix("http://").split("/")[0]
    return DEFAULT_HOST if host in ("index.docker.io", "registry-1.docker.io") else host


def _decode(encoded: str, host: str, path: Path) -> tuple[str, str]:
    try:
        username, colon, secret = base64.b64decode(encoded).decode().partition(":")
    except ValueError:  # not base64, not ASCII, not UTF-8
        colon = ""
    if not colon:
        raise _undecodable_error(host, path)
    return username, secret.rstrip("\0")


def _undecodable_error(host: str, path: Path) -> InfrastructureError:
    return InfrastructureError(
        f"{path}: the entry for {host} cannot be decoded", hint=f"docker login {host}"
    )
