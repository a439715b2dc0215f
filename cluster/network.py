"""The bridges, addresses and packet filter rules on the host, and their removal."""

from __future__ import annotations

from pathlib import Path

from cluster.config import (
    API_PORT,
    BRIDGE,
    CHAIN,
    CLUSTER_NETWORK,
    HOST_ADDRESS,
    NODES,
    SERVICE_ADDRESS,
)
from cluster.system import run, succeeds

_SERVICE = f"-d {SERVICE_ADDRESS}/32 -p tcp --dport 443 -j DNAT --to {HOST_ADDRESS}:{API_PORT}"
# Each has the table, the built-in chain that jumps to ours, and our rule.
_RULES = (
    ("nat", "POSTROUTING", f"-s {CLUSTER_NETWORK} ! -d {CLUSTER_NETWORK} -j MASQUERADE"),
    ("filter", "FORWARD", f"-s {CLUSTER_NETWORK} -j ACCEPT"),
    ("filter", "FORWARD", f"-d {CLUSTER_NETWORK} -j ACCEPT"),
    # There is only one service, so two rules do the work of kube-proxy.
    ("nat", "PREROUTING", _SERVICE),
    ("nat", "OUTPUT", _SERVICE),
)
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def up(state: Path) -> None:
    """Make a bridge with the addresses of the host and of the nodes, and the rules.

    It is a bridge because a kubelet refuses a loopback address, and not every kernel has the
    `dummy` device.
    """
    (state / "ip_forward").write_text(_FORWARDING.read_text())
    _FORWARDING.write_text("1")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    for address in (HOST_ADDRESS, *(node.address for node in NODES)):
        run("ip", "address", "add", f"{address}/32", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    for table, chain, rule in _RULES:
        ours = f"{CHAIN}-{chain}"
        if succeeds(*_iptables(table), "-N", ours):
            run(*_iptables(table), "-I", chain, "-j", ours)
        run(*_iptables(table), "-A", ours, *rule.split())


def down(state: Path) -> None:
    """Remove what `up` made, as far as it is there."""
    for table, chain, _ in _RULES:
        ours = f"{CHAIN}-{chain}"
        for action in (("-D", chain, "-j", ours), ("-F", ours), ("-X", ours)):
            succeeds(*_iptables(table), *action)
    for bridge in (BRIDGE, *(node.bridge for node in NODES)):
        if Path("/sys/class/net", bridge).exists():
            run("ip", "link", "delete", bridge)
    before = state / "ip_forward"
    if before.exists():
        _FORWARDING.write_text(before.read_text())


def _iptables(table: str) -> tuple[str, ...]:
    return ("iptables", "--wait", "--table", table)
