"""Users and passwords for servers of files, as `~/.netrc` has them."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

from dag.core.limits import CREDENTIALS
from dag.core.web import is_loopback
from dag.errors import InfrastructureError
from dag.io.files import read_bytes


class Logins:
    """The logins of hosts, each of which is sent to its own host only."""

    def __init__(self, headers: dict[str, str] | None = None, file: str = "") -> None:
        """Take the values of the Authorization header, by host, and the file that they are from.

        There may be none; without a file none may be used.
        """
        self._headers = headers or {}
        self._file = file

    @classmethod
    def of_the_user(cls) -> Logins:
        """Read the file that $NETRC names, or `~/.netrc`. Its `default` is no host's, and unused.

        Raises:
            InfrastructureError: it cannot be read.

        """
        import netrc

        path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
        try:
            read_bytes(path, CREDENTIALS)
            hosts = netrc.netrc(path).hosts
        except FileNotFoundError:
            return cls(file=f"{path}, which is not there,")
        except netrc.NetrcParseError as error:
            # What it says itself may have a part of a password in it.
            raise InfrastructureError(f"{path}:{error.lineno}: this is no line of netrc") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no text, or too large"
            raise InfrastructureError(f"{path} cannot be read: {why}") from None
        return cls(
            {
                host.lower(): basic_login(user, password)
                for host, (user, _, password) in hosts.items()
                if host != "default"
            },
            str(path),
        )

    def header(self, host: str, *, is_secure: bool) -> str:
        """Return what a host is told; nothing over a network where others could read it."""
        if not is_secure and not is_loopback(host):
            return ""
        return self._headers.get(host, "")

    def hint(self, host: str, *, used: bool) -> str:
        """Return what to do about a host that wants another login than it was told, `used` or none."""
        if used:
            return "it does not take the login that it was given"
        if not self._file:
            return "--credentials logs in with ~/.netrc"
        if host in self._headers:
            return f"{self._file} has a login for {host}, which is not sent without https"
        return f"{self._file} has no login for {host}"


def basic_login(user: str, password: str) -> str:
    """Return a user and a password as the value of the Authorization header."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
