"""The proxy through which builds reach the network: its flags, and the variables that name it.

Programs know a proxy by `http_proxy`, `https_proxy` and `no_proxy`, some of them only in lower case
and others only in upper case, so builds get both. No key of a unit has them: a proxy decides how bytes
come, and not which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from dag.core.flags import Options, flag, flag_group
from dag.core.kinds import ValueKind
from dag.core.web import redact
from dag.errors import UsageError

_PROXY = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})/?")
_HOST = re.compile(r"[A-Za-z0-9._*-]+(?::[0-9]{1,5})?|[0-9A-Fa-f:.\[\]]+(?:/[0-9]{1,3})?")
_KINDS = ("http", "https", "no")
_MACHINE = ("localhost", "127.0.0.1", "::1")
"""The names of the machine itself, which no proxy knows."""


def _proxy(text: str) -> str:
    if "@" in text:
        raise UsageError(
            "this proxy has a login, which manifests, logs and steps would show",
            hint="name one that asks for none, such as a forwarder that logs in to the other",
        )
    found = _PROXY.fullmatch(text)
    if not found or not 0 < int(found[1]) < 65536:
        raise UsageError(f"{redact(text)!r} is no proxy", hint="it is written http://HOST:PORT")
    return text.rstrip("/")


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise UsageError(
                f"{host!r} is neither a host nor a network",
                hint="they are like example.com, .example.com, 10.1.2.3 or 10.0.0.0/8",
            )
    return hosts


@flag_group
class ProxyOptions(Options):
    """The proxy of builds."""

    heading: ClassVar[str] = "Network"
    needs: ClassVar[Mapping[str, str]] = {"no_proxy": "--proxy"}

    proxy: str | None = flag(
        ValueKind(metavar="URL", parse=_proxy),
        "--proxy",
        "Have builds reach the network through this proxy, which is written http://HOST:PORT and has no "
        "login.",
        shown="in pods none; on this machine what $http_proxy, $https_proxy and $no_proxy say",
    )
    no_proxy: tuple[str, ...] | None = flag(
        ValueKind(metavar="HOST[,HOST]", parse=_hosts),
        "--no-proxy",
        "Have builds reach these hosts, domains (.example.com) and networks without that proxy. Those of "
        "the machine itself and of the cluster always are.",
    )


def proxies_here(options: ProxyOptions, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a build on this machine, given those of the user."""
    if named := named_proxy(options, _MACHINE):
        return named
    found = {kind: _of_environment(kind, environment) for kind in _KINDS}
    return _variables(found) if found["http"] or found["https"] else {}


def named_proxy(options: ProxyOptions, excepted: Iterable[str]) -> dict[str, str]:
    """Return the variables for the proxy that the flags name, without which some hosts are asked."""
    if options.proxy is None:
        return {}
    hosts = dict.fromkeys([*excepted, *(options.no_proxy or ())])
    return _variables({"http": options.proxy, "https": options.proxy, "no": ",".join(hosts)})


def proxies_of_steps(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of a build's variables that its steps get as well; `bwrap.sh` sees to that.

    A proxy's login is nothing for them.
    """
    return {name: value for name, value in variables.items() if "@" not in value}


def _of_environment(kind: str, environment: Mapping[str, str]) -> str:
    """Return a variable as most programs have it: lower case wins where both are set."""
    lower = f"{kind}_proxy"
    return environment.get(lower, environment.get(lower.upper(), ""))


def _variables(values: Mapping[str, str]) -> dict[str, str]:
    names = ((f"{kind}_proxy", value) for kind, value in values.items() if value)
    return {spelt: value for name, value in names for spelt in (name, name.upper())}
