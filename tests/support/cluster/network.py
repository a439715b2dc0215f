"""Servers at addresses of every kind, which the cluster's machine has for a while, and who reaches them."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from cluster.config import BRIDGE, HOST_ADDRESS
from cluster.system import run
from tests.support.cluster.running import Dag

PUBLIC = "192.31.196.1"
"""An address of the internet, at which nobody is who is asked here: https://www.rfc-editor.org/rfc/rfc7535"""
METADATA = "169.254.169.254"
"""Where clouds tell a machine who it is."""

Place = tuple[str, int]
"""An address and a port."""


class _Closer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Say nothing: that somebody came through is all."""


class _NameServer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Answer that there is such a name, and no address of it."""
        asked, socket = self.request
        socket.sendto(asked[:2] + b"\x81\x80" + asked[4:], self.client_address)


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


@contextmanager
def addresses(*wanted: str) -> Iterator[None]:
    """Have the machine take packets to these addresses for its own."""
    with ExitStack() as stack:
        for one in wanted:
            run("ip", "address", "add", f"{one}/32", "dev", BRIDGE)
            stack.callback(run, "ip", "address", "delete", f"{one}/32", "dev", BRIDGE)
        yield


@contextmanager
def listening(*places: Place) -> Iterator[None]:
    """Listen at these places, and be a name server at the host's address."""
    with ExitStack() as stack:
        servers: list[socketserver.BaseServer] = [_Tcp(place, _Closer) for place in places]
        servers.append(socketserver.ThreadingUDPServer((HOST_ADDRESS, 53), _NameServer))
        for server in servers:
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield


def trying(places: Mapping[str, Place]) -> str:
    """Return the script of a shell that tries all places at once, and says which it has reached."""
    lines = [
        f"(busybox nc -w 15 {address} {port} </dev/null >/dev/null 2>&1 && echo reached {name}) &"
        for name, (address, port) in places.items()
    ]
    asked = f"busybox nslookup a.example {HOST_ADDRESS} >/dev/null 2>&1 && echo reached udp"
    return "\n".join([*lines, f"({asked}) &", "wait", "echo tried"])


def reached(said: str) -> set[str]:
    """Return what such a script has reached, from what it said."""
    assert re.search(r"(?<!echo )tried", said), said
    return {*re.findall(r"(?<!echo )reached ([a-z-]+)", said)}


def serve(dag: Dag, name: str, node: str, namespace: str = "") -> str:
    """Make a pod that listens at port 8080, and return its address."""
    container = {
        "name": "c",
        "image": dag.cluster.base_image,
        "command": ["busybox", "httpd", "-f", "-p", "8080", "-h", "/etc"],
        # Without it, a pod is ready as soon as the program runs, whether or not it listens.
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    within = Dag(dag.cluster, namespace or dag.namespace, dag.directory)
    within.apply("Pod", name, spec=spec)
    within.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=240s")
    return within.kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}")
