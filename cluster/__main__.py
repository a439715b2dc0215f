"""Start, examine and end a real Kubernetes on this machine: `python3 -m cluster COMMAND`."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from cluster import (
    Cluster,
    claims,
    emulation,
    kueue,
    kwok,
    lifecycle,
    parts,
    policies,
    secret_store,
)
from cluster.cluster import processes
from cluster.config import NODES
from cluster.system import explained

if TYPE_CHECKING:
    from collections.abc import Callable

    Action = Callable[[argparse.Namespace], object]


def main() -> int:
    """Run one command and return its exit code.

    0 is success, 1 a failure that was explained on standard error, 130 an interruption.
    """
    options = _parser().parse_args()
    return explained(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m cluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Action, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    command(
        "prepare",
        lambda _: lifecycle.prepare(),
        "do everything once that takes long: packages, parts, images",
    )
    command("up", lambda _: lifecycle.up(), "start the cluster and wait until pods can run")
    command(
        "down",
        lambda _: lifecycle.down(),
        "end the cluster and remove everything of it but the cache",
    )
    command("status", _status, "show which processes run and the state of the nodes")
    command("env", _env, 'print variables for a shell: eval "$(python3 -m cluster env)"')
    node = command("node", _node, "lose a node, or bring it back")
    node.add_argument("action", choices=["stop", "start"])
    node.add_argument("name", choices=[node.name for node in NODES])
    server = command("apiserver", _restart, "kill the API server and start it again")
    server.add_argument("action", choices=["restart"])
    simulated = command("kwok", _kwok, "add N simulated nodes of one architecture, or remove all")
    simulated.add_argument("action", choices=["up", "down"])
    simulated.add_argument("count", type=int, nargs="?", default=10, metavar="N")
    simulated.add_argument(
        "--arch", default="amd64", help="the architecture, as Kubernetes names it"
    )
    queues = command("kueue", _kueue, "start Kueue beside the API server, or end it")
    queues.add_argument("action", choices=["up", "down"])
    enforced = command("policies", _policies, "enforce NetworkPolicies, or let every packet go")
    enforced.add_argument("action", choices=["up", "down"])
    secrets = command(
        "secrets", _secrets, "start a Secrets Store CSI driver on the nodes, or end it"
    )
    secrets.add_argument("action", choices=["up", "down"])
    claim = command("claim", _claim, "make a volume claim that all nodes share, or remove it")
    claim.add_argument("action", choices=["up", "down"])
    claim.add_argument("name", metavar="NAME")
    claim.add_argument("-n", "--namespace", default="default")
    binfmt = command(
        "binfmt", _binfmt, "let programs of another architecture run here, or stop that"
    )
    binfmt.add_argument("action", choices=["up", "down"])
    binfmt.add_argument("--arch", default="aarch64", choices=emulation.ARCHITECTURES)
    part = command("part", _part, "build a part and print the directory of its commands")
    part.add_argument("name", choices=parts.PARTS)
    return parser


def _status(_: argparse.Namespace) -> None:
    for process in processes():
        print(f"{process.name:28}{process.pid() or 'does not run'}")
    print(Cluster.current().run_kubectl("get", "nodes", "-o", "wide"), end="")


def _env(_: argparse.Namespace) -> None:
    cluster = Cluster.current()
    values = {
        "KUBECONFIG": cluster.kubeconfig,
        "LIMITED_KUBECONFIG": cluster.limited_kubeconfig,
        "KUBECTL": cluster.kubectl,
        "REGISTRY": cluster.registry,
        "HOST_ADDRESS": cluster.host_address,
        "NODES": " ".join(cluster.nodes),
        "BASE_IMAGE": cluster.base_image,
        "SDK_IMAGE": cluster.sdk_image,
    }
    for name, value in values.items():
        print(f"export {name}={shlex.quote(str(value))}")
    print(f'export PATH={shlex.quote(str(cluster.kubectl.parent))}:"$PATH"')


def _node(options: argparse.Namespace) -> None:
    cluster = Cluster.current()
    change = cluster.stop_node if options.action == "stop" else cluster.start_node
    change(options.name)


def _claim(options: argparse.Namespace) -> None:
    change = claims.make_claim if options.action == "up" else claims.remove_claim
    if place := change(Cluster.current(), options.namespace, options.name):
        print(place)


def _restart(_: argparse.Namespace) -> None:
    Cluster.current().restart_apiserver()


def _kwok(options: argparse.Namespace) -> None:
    if options.action == "up":
        kwok.up(Cluster.current(), options.count, options.arch)
    else:
        kwok.down(Cluster.current())


def _kueue(options: argparse.Namespace) -> None:
    change = kueue.up if options.action == "up" else kueue.down
    change(Cluster.current())


def _policies(options: argparse.Namespace) -> None:
    if options.action == "up":
        policies.up(Cluster.current())
    else:
        policies.down()


def _secrets(options: argparse.Namespace) -> None:
    change = secret_store.up if options.action == "up" else secret_store.down
    change(Cluster.current())


def _binfmt(options: argparse.Namespace) -> None:
    if options.action == "up":
        emulation.up(options.arch)
    else:
        emulation.down()


def _part(options: argparse.Namespace) -> None:
    if options.name == "containerd":
        lifecycle.install_packages()
    print(parts.build(options.name))


if __name__ == "__main__":
    sys.exit(main())
