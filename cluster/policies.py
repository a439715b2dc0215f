"""The enforcement of NetworkPolicies, which the network of the nodes does not do by itself.

It is no part of a cluster that is just up: whoever tries what policies permit starts it. It judges
the connections of all pods, and those that no policy chooses go on as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import parts
from cluster.config import CHAIN, NODES, POLICIES_PORT
from cluster.control import wait_for
from cluster.process import Process
from cluster.system import run, succeeds

if TYPE_CHECKING:
    from cluster.cluster import Cluster

POLICIES = Process("network-policies")
_QUEUE = "203"
_OURS = f"{CHAIN}-POLICIES"
# In this table an accepted packet still meets every rule that accepts or forbids. What the machine
# sends itself goes through neither chain: a node reaches its pods whatever policies say.
_IPTABLES = ("iptables", "--wait", "--table=mangle")
_HOOKS = ("FORWARD", "INPUT")
# Without a judge, such as one that was killed, packets go on as if there were no rule.
_JUDGED = ("-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE", "--queue-bypass", "--queue-num")


def up(cluster: Cluster) -> None:
    """Start the judge, and give it the first packet of each connection from or to a pod.

    Raises ClusterError if it does not start.
    """
    command = parts.build("network-policies") / "network-policies"
    networks = [node.network for node in NODES]
    address = f"127.0.0.1:{POLICIES_PORT}"
    POLICIES.start([command, cluster.kubeconfig, _QUEUE, address, *networks])
    wait_for(f"http://{address}", POLICIES)
    if succeeds(*_IPTABLES, "-N", _OURS):
        for network in networks:
            for side in ("-s", "-d"):
                run(*_IPTABLES, "-A", _OURS, side, network, *_JUDGED, _QUEUE)
        for hook in _HOOKS:
            run(*_IPTABLES, "-I", hook, "-j", _OURS)


def down() -> None:
    """Let every packet go again, as far as `up` has changed that, and end the judge."""
    for hook in _HOOKS:
        succeeds(*_IPTABLES, "-D", hook, "-j", _OURS)
    for action in ("-F", "-X"):
        succeeds(*_IPTABLES, action, _OURS)
    POLICIES.kill()
