"""The command line: `python3 -m cluster …`."""

from __future__ import annotations

import argparse
import shlex
import sys

from cluster import Cluster, ClusterError, parts
from cluster.cluster import down, install_packages, processes
from cluster.config import NODES
from cluster.system import say


def main() -> int:
    """Run one command; 0 is success, 1 a failure that was explained on standard error."""
    options = _parser().parse_args()
    try:
        _run(options)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="start the cluster and wait till pods can run")
    commands.add_parser("down", help="end it and remove all traces but the cache")
    commands.add_parser("status", help="which processes run, and what the nodes say")
    commands.add_parser("env", help="print variables for a shell: eval $(python3 -m cluster env)")
    node = commands.add_parser("node", help="lose a node, or bring it back")
    node.add_argument("action", choices=["stop", "start"])
    node.add_argument("name", choices=[node.name for node in NODES])
    server = commands.add_parser("apiserver", help="kill the API server and start it again")
    server.add_argument("action", choices=["restart"])
    part = commands.add_parser("part", help="build a part, print the directory of its commands")
    part.add_argument("name", choices=parts.PARTS)
    return parser


def _run(options: argparse.Namespace) -> None:
    match options.command:
        case "up":
            Cluster.up()
        case "down":
            down()
        case "status":
            _status()
        case "env":
            _env(Cluster.current())
        case "node" if options.action == "stop":
            Cluster.current().stop_node(options.name)
        case "node":
            Cluster.current().start_node(options.name)
        case "apiserver":
            Cluster.current().restart_apiserver()
        case "part":
            if options.name == "containerd":
                install_packages()
            print(parts.build(options.name))


def _status() -> None:
    for process in processes():
        print(f"{process.name:28}{process.pid() or 'does not run'}")
    print(Cluster.current().run_kubectl("get", "nodes", "-o", "wide"), end="")


def _env(cluster: Cluster) -> None:
    values = {
        "KUBECONFIG": cluster.kubeconfig,
        "LIMITED_KUBECONFIG": cluster.limited_kubeconfig,
        "REGISTRY": cluster.registry,
        "HOST_ADDRESS": cluster.host_address,
        "NODES": " ".join(cluster.nodes),
        "BASE_IMAGE": cluster.base_image,
        "SDK_IMAGE": cluster.sdk_image,
        "KUBECTL": cluster.kubectl,
    }
    for name, value in values.items():
        print(f"export {name}={shlex.quote(str(value))}")
    print(f'export PATH={shlex.quote(str(cluster.kubectl.parent))}:"$PATH"')


if __name__ == "__main__":
    sys.exit(main())
