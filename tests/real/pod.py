"""The way by `dag pod`: half of a distribution in a pod on each node of the test cluster."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from cluster import ClusterError
from dag.core.graph.graph import Graph
from dag.io.package.definitions import read_directory
from examples.sources import ADDRESS
from tests.real.convert import ARCH
from tests.real.distribution import Distribution
from tests.real.nodes import SECONDS, on_cluster, push_cache, require, settings
from tests.real.repository import KEY
from tests.real.standin import standing_in
from tests.support.cluster.running import Dag, Running


def build_in_pods(distribution: Distribution, place: Path) -> Path:
    """Build each half in a pod of its own, and return where the packages of both are.

    The sources come from a cache bundle, and the steps have no network. Repositories that
    definitions name themselves are asked through a stand-in that listens where pods reach it. Each pod
    requests more than half of a node's processors, so that the second one runs on the other node.

    Raises ClusterError if a build fails, or if both pods ran on one node.
    """
    with on_cluster(place) as dag, standing_in(distribution.repository, host=ADDRESS) as variables:
        directory = _with_variables(distribution.directory, place / "distribution", variables)
        dag.environment |= settings(variables)
        url = variables["HTTPS_PROXY"]
        words: list[str | Path] = [
            *("--repository", url, "--keyring", f"{url}/{KEY}.pub"),
            *("--cache-bundle", push_cache(dag, distribution, place), "--hermetic"),
            *("--cpu=1100m", "--ram=2Gi", "--disk=1Gi"),
        ]
        pods = [
            dag.start(directory, *words, "--out", place / f"out-{number}", *half)
            for number, half in enumerate(_halves(distribution))
        ]
        nodes = {_node_of(dag, pod) for pod in pods}
        for pod in pods:
            require(pod.end(SECONDS), "dag pod")
        if len(nodes) != len(pods):
            raise ClusterError(f"all pods ran on {', '.join(nodes)}")
    packages = place / "packages" / ARCH
    packages.mkdir(parents=True)
    for apk in place.glob(f"out-*/{ARCH}/*.apk"):
        apk.rename(packages / apk.name)
    return place / "packages"


def _with_variables(directory: Path, copy: Path, variables: Mapping[str, str]) -> Path:
    """Make a copy of a directory whose Makefile gives melange these variables in a pod, too."""
    shutil.copytree(directory, copy)
    certificate = shutil.copy(variables["SSL_CERT_FILE"], copy / "standin.crt")
    there = {**variables, "SSL_CERT_FILE": f"$(CURDIR)/{Path(certificate).name}"}
    exported = "".join(f"export {name} := {value}\n" for name, value in there.items())
    makefile = copy / "Makefile"
    makefile.write_text(exported + makefile.read_text())
    return copy


def _halves(distribution: Distribution) -> list[list[str]]:
    """Return the definitions in two halves, of which neither needs one of the other."""
    graph = Graph(read_directory(distribution.directory, arch=ARCH).packages, arch=ARCH)
    groups: list[set[str]] = []
    for name in distribution.names:
        mine = {name, *(graph.installed(name) or ())}.intersection(distribution.names)
        touched = [group for group in groups if group & mine]
        groups = [group for group in groups if group not in touched]
        groups.append(mine.union(*touched))
    halves: list[list[str]] = [[], []]
    for group in sorted(groups, key=lambda group: (-len(group), sorted(group))):
        min(halves, key=len).extend(sorted(group))
    return [half for half in halves if half]


def _node_of(dag: Dag, running: Running) -> str:
    try:
        created = running.await_line(r"pod (\S+) created", SECONDS)
    except AssertionError as error:
        raise ClusterError(f"dag pod failed: {error}") from None
    pod, node = f"pod/{created[1]}", "jsonpath={.spec.nodeName}"
    dag.kubectl("wait", pod, f"--for={node}", "--timeout=100s")
    return dag.kubectl("get", pod, f"--output={node}")
