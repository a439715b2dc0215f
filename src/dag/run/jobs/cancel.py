"""`dag cancel`: ends a run in a cluster, whoever drives it, and wherever."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace

from dag.core.jobs.driver import is_driver
from dag.core.jobs.lease import DriverNote
from dag.core.jobs.names import StoreInCluster, attempt_of
from dag.core.jobs.options import RunPlace
from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import ARCH_LABEL
from dag.errors import InfrastructureError, UsageError
from dag.io.kube.api import Kube
from dag.io.kube.opening import open_cluster, opened_cluster
from dag.report.terminal import say
from dag.run.jobs.lease import LeaseObject, StoreLease
from dag.run.jobs.standing import read_standings, stores_in_cluster

_LOOK = 1.0
"""Seconds between two looks whether Pods are gone."""
_PATIENCE = 600.0
"""Seconds for which Pods are waited for that are being ended."""


async def cancel_run(options: RunPlace, words: str) -> str:
    """End the newest run whose id begins with `words`, and return its id when nothing is left of it.

    Raises:
        UsageError: there is no such run, or the flags name no store in a cluster.
        InfrastructureError: the API server cannot be reached or refuses, or Pods do not end.

    """
    keys = stores_in_cluster(options)
    key = next(iter(keys.values()))
    async with opened_cluster(options, say) as kube:
        standings = await read_standings(kube, keys, words)
        if not standings:
            asked = f" for {' or '.join(keys)}" if options.arch else ""
            raise UsageError(
                f"{f'no run {words}' if words else 'nothing'} is being built in {key.store}{asked},"
                f" as far as namespace {key.namespace} tells",
                hint="`dag status --all` lists the runs that have ended",
            )
        run = standings[0].run
        # What is built for architectures that nobody has named by the same command goes, too.
        jobs = await kube.items(key.jobs_path, labelSelector=key.selector_of_all(run))
        archs = {str(job["metadata"]["labels"][ARCH_LABEL]) for job in jobs}
        for arch in sorted(archs | {one.arch for one in standings if not one.ended}):
            await _cancel(options, kube, replace(key, arch=arch), run)
    return run


async def _cancel(options: RunPlace, kube: Kube, key: StoreInCluster, run: str) -> None:
    """End a run for one architecture."""
    lease = StoreLease(
        lambda: open_cluster(options, lambda _: None),
        key,
        DriverNote(client=secrets.token_hex(16)),
        say,
    )
    try:
        await _end_driving(lease, LeaseObject(kube, key), run)
        await _remove(kube, key, run)
    finally:
        lease.close()


async def _end_driving(mine: StoreLease, lease: LeaseObject, run: str) -> None:
    """Wait until nobody drives a run: the Lease is ours, or that of who drives another run."""
    works = [asyncio.create_task(mine.acquire(wait=True)), asyncio.create_task(_ask(lease, run))]
    try:
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for one in works:
            one.cancel()
        await asyncio.gather(*works, return_exceptions=True)


async def _ask(lease: LeaseObject, run: str) -> None:
    """Ask whoever drives a run, or goes on with it, to end it, until somebody drives another one."""
    while True:
        found = await lease.read()
        if found is not None and found.holder:
            if found.note.run not in ("", run):
                return
            if found.note.run == run != found.cancelled:
                say(f"{found.holder} is asked to end run {run}")
                await lease.cancel(run)
        await asyncio.sleep(_LOOK)


async def _remove(kube: Kube, key: StoreInCluster, run: str) -> None:
    """Delete the Jobs of a run, and wait until their Pods are gone."""
    chosen = key.selector(run)
    until = asyncio.get_running_loop().time() + _PATIENCE
    asked: set[str] = set()
    while left := await _left(kube, key, chosen):
        for job in left:
            name, uid = str(job["metadata"]["name"]), str(job["metadata"]["uid"])
            if job["kind"] == "Job" and uid not in asked:
                await kube.delete(f"{key.jobs_path}/{name}", uid=uid, dependents=True)
                asked.add(uid)
        if asyncio.get_running_loop().time() > until:
            names = ", ".join(str(one["metadata"]["name"]) for one in left)
            raise InfrastructureError(
                f"after {_PATIENCE:.0f} s these are still there: {names}",
                hint="`kubectl describe` tells what holds them; then run this again",
            )
        await asyncio.sleep(_LOOK)


async def _left(kube: Kube, key: StoreInCluster, chosen: str) -> list[KubeView]:
    jobs = await kube.items(key.jobs_path, labelSelector=chosen)
    pods = await kube.items(key.pods_path, labelSelector=chosen)
    mine = (one for one in jobs if attempt_of(one) is not None or is_driver(one))
    units = [{**one, "kind": "Job"} for one in mine]
    return [*units, *({**one, "kind": "Pod"} for one in pods)]
