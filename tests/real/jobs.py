"""The way by `dag build --on kubernetes`: each definition is a Job, on whichever node has room."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cluster import ClusterError
from examples.sources import ADDRESS
from tests.real.distribution import Distribution
from tests.real.nodes import SECONDS, push_cache, require, settings
from tests.real.repository import KEY
from tests.real.standin import standing_in
from tests.support.cluster.claims import shared_claim
from tests.support.cluster.running import Dag

NODES = 2


def build_as_jobs(dag: Dag, distribution: Distribution, place: Path) -> Path:
    """Build everything as Jobs that share a volume claim, and return where the packages are.

    `place` is a directory to work in.

    The sources come from a cache bundle, and the steps have neither a network nor privileges. Each
    Job requests more than half of a node's processors, so that two of them run on two nodes.

    Raises ClusterError if the build fails, or if all Jobs ran on one node.
    """
    with (
        shared_claim(dag) as store,
        standing_in(distribution.repository, host=ADDRESS) as variables,
    ):
        dag.environment |= settings(variables)
        url = variables["HTTPS_PROXY"]
        words: list[str | Path] = [
            *("build", "--on=kubernetes", "--store=pvc://store", "--dir", distribution.directory),
            *("--repository", url, "--keyring", f"{url}/{KEY}.pub"),
            *("--cache-bundle", push_cache(dag, distribution, place), "--hermetic"),
            *("--isolation=userns", "--cpu=1100m", "--ram=2Gi", "--disk=2Gi"),
        ]
        require(dag(*words, *distribution.names, timeout=SECONDS), "dag build --on kubernetes")
        if len(nodes := _nodes(dag)) < min(NODES, len(distribution.names)):
            raise ClusterError(f"all Jobs ran on {', '.join(nodes)}")
        shutil.copytree(store, place / "packages", ignore=shutil.ignore_patterns(".dag"))
    return place / "packages"


def _nodes(dag: Dag) -> set[str]:
    chosen = "--field-selector=reason=Scheduled"
    events = json.loads(dag.kubectl("get", "events", "--output=json", chosen))["items"]
    return {event["message"].rpartition(" ")[2] for event in events}
