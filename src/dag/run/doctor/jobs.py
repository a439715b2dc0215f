"""Gathers what `core.doctor` judges of a build as Jobs: asks the API server, registries and nodes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from dag.core.arch import Arch
from dag.core.build.resources import resources_of_flags, unit_resources
from dag.core.build.scripts import melange_of
from dag.core.doctor import jobchecks, jobprobes, probes
from dag.core.doctor.checks import Finding, bucket_access, skipped
from dag.core.doctor.options import DoctorOptions
from dag.core.jobs.capacity import capacity_of
from dag.core.jobs.claims import Claim
from dag.core.jobs.manifest import JobSettings
from dag.core.kube.objects import KubeObject
from dag.core.package.model import Package
from dag.core.store.buckets import Bucket
from dag.report.terminal import Terminal
from dag.run.doctor.definitions import guess_namespace, judge_definitions
from dag.run.doctor.images import ImageChecks
from dag.run.doctor.probes import without_usual_hint
from dag.run.jobs.preflight import ACCOUNT_CHECK, JobChecks
from dag.run.jobs.settings import store_settings
from dag.run.jobs.single import run_job
from dag.run.pod.access import read_list
from dag.run.pod.bundle import BundleTarget
from dag.run.pod.examination import Check, examine
from dag.run.pod.place import PlaceChecks


class JobsDoctor:
    """One examination of what `dag build --on kubernetes` with these flags would meet.

    Checks leave in its attributes what later ones need of their answers.
    """

    def __init__(self, chosen: DoctorOptions, terminal: Terminal) -> None:
        namespace = guess_namespace(chosen)
        self._chosen = chosen = replace(chosen, namespace=namespace)
        self._terminal = terminal
        self._run = f"probe-{secrets.token_hex(4)}"
        self._place = PlaceChecks(chosen, namespace, terminal)
        self._images = ImageChecks(chosen, terminal)
        self._packages: Mapping[Arch, tuple[Package, ...]] = {}
        self._said: dict[Arch, probes.ProbeOutcome] = {}
        """What the agent's probe has said of user namespaces."""

    async def examine(self) -> dict[str, Finding]:
        """Make all checks, in the order in which they are told; no probe is left behind."""
        try:
            return await examine([*self._checks()])
        finally:
            await self._place.close()

    def _checks(self) -> Iterator[Check]:
        chosen = self._chosen
        yield Check("definitions", (), self._definitions)
        yield Check("repository", (), self._images.find_repository)
        settings, out = self._settings(chosen.arch[0]), chosen.out is not None
        checks = JobChecks(self._place, settings, out=out, detach=chosen.detach)
        before = [*checks.all()]
        yield from before
        yield from self._images.checks()
        place = [*(one.name for one in before if one.name != ACCOUNT_CHECK), "probe image"]
        for arch in chosen.arch:
            agent = node = f"agent {arch}"
            yield Check(f"room {arch}", ("definitions", "api"), partial(self._room, arch))
            yield Check(agent, place, partial(self._agent, arch))
            if chosen.confined:
                node = f"user namespace {arch}"
                yield Check(node, (agent,), partial(self._userns, arch))
            yield Check(f"sdk {arch}", (node, "sdk image"), partial(self._sdk, arch))
            if chosen.proxy:
                yield Check(f"proxy {arch}", (agent,), partial(self._proxy, arch, chosen.proxy))
            yield Check(f"store {arch}", (agent,), partial(self._store, arch))

    async def _definitions(self) -> Finding:
        finding, self._packages = await judge_definitions(self._chosen, self._terminal)
        return finding

    async def _room(self, arch: Arch) -> Finding:
        chosen = self._chosen
        nodes = await read_list(self._place.kube, "/api/v1/nodes")
        capacity = capacity_of(nodes or (), chosen.node_arch or arch, chosen)
        default = resources_of_flags(chosen.cpu, chosen.ram, chosen.disk)
        units = [(one.name, unit_resources(one, default)) for one in self._packages[arch]]
        if not units:
            return skipped("there is nothing to build")
        name, largest = max(
            units, key=lambda unit: (not capacity.has_room(unit[1]), unit[1].ram, unit[1].cpu)
        )
        return jobchecks.room(capacity, largest, name)

    async def _agent(self, arch: Arch) -> Finding:
        probe = jobprobes.agent_job_probe(self._settings(arch))

        def judge(outcome: probes.ProbeOutcome) -> Finding:
            self._said[arch] = outcome
            return probes.judge_pull(
                outcome, "a node pulled the agent's image and runs it", "no node runs the agent"
            )

        return await self._try(probe, judge)

    async def _userns(self, arch: Arch) -> Finding:
        return probes.judge_userns(self._said[arch])

    async def _sdk(self, arch: Arch) -> Finding:
        chosen = self._chosen
        melange = melange_of(chosen.make_vars)
        return await self._try(
            jobprobes.sdk_job_probe(self._settings(arch), melange, trust_steps=chosen.trust_steps),
            probes.judge_sdk,
        )

    async def _proxy(self, arch: Arch, proxy: str) -> Finding:
        return await self._try(
            jobprobes.proxy_job_probe(self._settings(arch), proxy),
            lambda outcome: probes.judge_proxy(outcome, proxy),
        )

    async def _store(self, arch: Arch) -> Finding:
        settings = self._settings(arch)
        store = settings.store
        fix = (
            f"the volume of {store.name} must let user 65532 write"
            if isinstance(store, Claim)
            else bucket_access(store, settings.service_account, settings.bucket_secret)
        )
        return await self._try(
            jobprobes.store_job_probe(settings),
            lambda outcome: probes.judge(
                without_usual_hint(outcome),
                f"an agent can write to {store}",
                f"no agent can write to {store}",
                fix,
            ),
        )

    async def _try(
        self, probe: KubeObject, judge: Callable[[probes.ProbeOutcome], Finding]
    ) -> Finding:
        if not self._chosen.probe:
            return skipped("--probe=false")
        kube, tell, queue = self._place.kube, self._terminal.detail, self._chosen.queue
        try:
            # Nothing else limits how long a queue holds a Job back.
            async with asyncio.timeout(2 * probes.DEADLINE if queue else None):
                result, follower = await run_job(kube, probe, probes.PROBE_RULES, tell)
        except TimeoutError:
            why = f"the queue {queue} let no Job go within {2 * probes.DEADLINE:.0f} s"
            return judge(probes.ProbeOutcome(probes.Fate.WAITING, why))
        await follower.remove()
        events = follower.watch.patience.events()
        return judge(probes.outcome(result.ending, follower.pod, events))

    def _settings(self, arch: Arch) -> JobSettings:
        """Return the settings of Jobs; without the image of probes they are for looking only."""
        chosen, pushed = self._chosen, self._images.pushed
        settings = store_settings(chosen, self._place.name, arch)
        bucket = settings.store if isinstance(settings.store, Bucket) else None
        return replace(
            settings,
            identity=self._place.identity(bucket),
            run=self._run,
            bundle=BundleTarget.of(chosen).known_as(pushed.reference) if pushed else "",
            sdk_image=chosen.sdk_image,
            cache_bundle=chosen.cache_bundle,
            disk=chosen.disk,
        )
