"""Finds credentials where `docker login`, `podman login` and their like leave them.

Docker's file comes first, with `credHelpers`, `credsStore` and `auths`:
https://github.com/docker/cli/blob/master/cli/config/configfile/file.go. Then come those of Podman,
Buildah and Skopeo, whose keys in `auths` may have a path behind the host:
https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md. The helpers' protocol:
https://github.com/docker/docker-credential-helpers#development.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dag.core.image.descriptors import parse_object
from dag.core.image.references import DEFAULT_HOST
from dag.core.limits import CREDENTIALS, TooLarge
from dag.errors import InfrastructureError, words_of
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
class CredentialLookup:
    """The credentials for a repository, or the reason why there are none."""

    credentials: Credentials | None
    searched: str
    """Each file that was looked into, with what it lacks."""

    def describe(self) -> str:
        """Return what an error says of the credentials that were used."""
        if self.credentials is None:
            return f"no credentials: {self.searched}"
        user = f" of {self.credentials.username}" if self.credentials.username else ""
        return f"credentials{user} from {self.credentials.origin}"


@dataclass(frozen=True)
class CredentialFile:
    """A file that may hold credentials, and the environment variable that names another one."""

    path: Path
    variable: str
    is_expected: bool = False
    """Whether somebody set the variable for the very purpose of naming the file."""
    is_bare: bool = False
    """Whether it has the entries themselves, without a table around them."""

    def absence(self) -> str:
        """Return in words that the file does not exist."""
        source = f" (from ${self.variable})" if self.is_expected else ""
        return f"{self.path}{source} does not exist"


def credential_files() -> Iterator[CredentialFile]:
    """Yield the files in the order in which they are read, whether or not they exist."""
    environment = os.environ
    docker = environment.get("DOCKER_CONFIG")
    home = Path.home()
    directory = Path(docker) if docker else home / ".docker"
    yield CredentialFile(directory / "config.json", "DOCKER_CONFIG", bool(docker))
    if named := environment.get("REGISTRY_AUTH_FILE"):
        yield CredentialFile(Path(named), "REGISTRY_AUTH_FILE", is_expected=True)
    below = Path("containers") / "auth.json"
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield CredentialFile(Path(runtime) / below, "XDG_RUNTIME_DIR")
    elif sys.platform == "linux":
        # Where Podman writes without that variable, as it does for root.
        yield CredentialFile(Path(f"/run/containers/{os.getuid()}/auth.json"), "XDG_RUNTIME_DIR")
    config = environment.get("XDG_CONFIG_HOME")
    yield CredentialFile((Path(config) if config else home / ".config") / below, "XDG_CONFIG_HOME")
    # What Docker wrote before 1.7, and kubelet and Podman still read.
    yield CredentialFile(home / ".dockercfg", "HOME", is_bare=True)


def look_up(host: str, repository: str = "") -> CredentialLookup:
    """Return the credentials for a repository of a registry; the host includes the port.

    The first file that has any counts, and in it the entry with the longest path that fits. A
    helper that is not there or fails is no error yet: what is public needs no credentials, and if
    access is denied, the message says it.

    Raises:
        InfrastructureError: a file cannot be read, or is no JSON.

    """
    names = repository.split("/") if repository else []
    places = ["/".join((host, *names[:end])) for end in range(len(names), -1, -1)]
    reasons: list[str] = []
    for file in credential_files():
        found = _look_into(file, places)
        if isinstance(found, Credentials):
            return CredentialLookup(found, "; ".join(reasons))
        if not file.is_bare or file.path.exists():  # nobody misses what nobody writes any more
            reasons.append(found)
    return CredentialLookup(None, "; ".join(dict.fromkeys(reasons)))


def _look_into(file: CredentialFile, places: Sequence[str]) -> Credentials | str:
    """Return what one file has for the first of `places`, or in words why it has nothing.

    `places` are the repository with its host, what is above it, and at last the host alone.
    """
    config = _read_config(file)
    if config is None:
        return file.absence()
    auths, host = _table(config, "auths"), places[-1]
    why = f"{file.path} has none for {places[0]}"
    helper = next(_entries(_table(config, "credHelpers"), host), None)
    if helper is None:
        # Only tools that know no `credsStore` write entries with a path.
        if found := _from_auths(auths, places[:-1], file.path):
            return found
        helper = config.get("credsStore")
    if isinstance(helper, str) and helper:
        answer = _ask_helper(helper, host)
        if isinstance(answer, Credentials):
            return answer
        why = answer
    return _from_auths(auths, places, file.path) or why


def _read_config(file: CredentialFile) -> dict[str, Any] | None:
    """Return the content of a file, None if there is no such file."""
    try:
        found = parse_object(read_bytes(file.path, CREDENTIALS))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except TooLarge:
        raise
    except (OSError, ValueError) as error:
        # The file holds secrets, so its text is not shown.
        why = error.strerror if isinstance(error, OSError) else "it is no JSON object"
        raise InfrastructureError(
            f"{file.path} cannot be read: {why}",
            hint=f"mend it, or point ${file.variable} elsewhere",
        ) from None
    return {"auths": found} if file.is_bare else found


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
        return f"{program} failed: {words_of(error)}"
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


def _from_auths(auths: dict[str, Any], places: Sequence[str], path: Path) -> Credentials | None:
    """Return the credentials for the first of `places` that has any."""
    for place in places:
        for entry in _entries(auths, place):
            if isinstance(entry, dict) and (found := _from_entry(entry, place, path)):
                return found
    return None


def _entries(table: dict[str, Any], place: str) -> Iterator[Any]:
    """Yield the values whose keys name this place; the key that is the place itself comes first."""
    if place in table:
        yield table[place]
    for key, value in table.items():
        if key != place and place in (key.rstrip("/"), _place_of(key)):
            yield value


def _from_entry(entry: dict[str, Any], place: str, path: Path) -> Credentials | None:
    username, secret = str(entry.get("username") or ""), str(entry.get("password") or "")
    if encoded := entry.get("auth"):
        username, secret = _decode(str(encoded), place, path)
    token = str(entry.get("identitytoken") or "")
    try:
        f"{username}{secret}{token}".encode()
    except UnicodeEncodeError:
        raise _undecodable_error(place, path) from None
    if token:
        return Credentials(str(path), username, identity_token=token)
    return Credentials(str(path), username, secret) if username or secret else None


def _place_of(key: str) -> str:
    """Return the place that a key of another spelling means."""
    # Older clients of Docker wrote https://HOST/v1/ and the like for a whole host.
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, slash, path = bare.partition("/")
    if bare != key.rstrip("/") or path in ("v1", "v2"):
        slash = path = ""
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = DEFAULT_HOST
    return f"{host}{slash}{path}"


def _decode(encoded: str, place: str, path: Path) -> tuple[str, str]:
    try:
        username, colon, secret = base64.b64decode(encoded).decode().partition(":")
    except ValueError:  # not base64, not ASCII, not UTF-8
        colon = ""
    if not colon:
        raise _undecodable_error(place, path)
    return username, secret.rstrip("\0")


def _undecodable_error(place: str, path: Path) -> InfrastructureError:
    host = place.partition("/")[0]
    return InfrastructureError(
        f"{path}: the entry for {place} cannot be decoded", hint=f"docker login {host}"
    )
