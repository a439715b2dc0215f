"""Gathers what `core.doctor` judges: asks the API server, the registries and, by probes, the nodes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from dag.core.arch import Arch
from dag.core.build.scripts import melange_of
from dag.core.doctor import checks as doctor
from dag.core.doctor import fitting, probes
from dag.core.doctor.checks import Finding, ok, skipped
from dag.core.image.agent import default_base
from dag.core.image.references import Reference, parse_reference, parse_repository
from dag.core.kube.objects import KubeObject, KubeView
from dag.core.pod.manifest import SECRET_PROVIDER_CLASS, PodSettings, pod
from dag.core.pod.nodes import obstacle
from dag.core.pod.options import PodOptions
from dag.core.store.buckets import Bucket
from dag.errors import DagError
from dag.io.image.bundle import Pushed, push_bundle
from dag.io.image.platforms import read_platforms
from dag.io.image.registry.refusals import Refused, RegistryError
from dag.io.image.registry.repository import ImageRepository
from dag.io.image.registry.requests import RegistryTransport
from dag.io.kube.api import ApiError
from dag.io.package.loading import LoadCheck
from dag.report.terminal import Terminal
from dag.report.words import count
from dag.run.aside import aside
from dag.run.doctor.cluster import ClusterChecks
from dag.run.doctor.examination import Check, examine
from dag.run.doctor.probes import run_probe
from dag.run.graph.selection import select
from dag.run.image.agent import AgentChoice
from dag.run.pod.access import (
    Unreadable,
    read_list,
)
from dag.run.pod.bundle import bundle_repository, namespace_of
from dag.run.pod.preflight import dry_run
from dag.run.pod.request import PodRequest, prepare

T = TypeVar("T")


class Doctor:
    """One examination of what a build with these flags would meet.

    Checks leave in its attributes what later ones need of their answers.
    """

    def __init__(self, chosen: PodOptions, terminal: Terminal, *, probe: bool) -> None:
        """Take `probe` for leave to create Pods, and to push the image that they run."""
        self._namespace = namespace = _namespace_of(chosen)
        self._chosen = chosen = replace(chosen, namespace=namespace)
        self._terminal = terminal
        self._probe = probe
        self._cluster = ClusterChecks(chosen, namespace, terminal)
        self._nodes: Sequence[KubeView] | None = None
        self._request: PodRequest | None = None
        self._repository = ""
        self._pushed: Pushed | None = None

    async def examine(self) -> dict[str, Finding]:
        """Make all checks, in the order in which they are told; no probe is left behind."""
        try:
            return await examine([*self._checks(), *self._probes()])
        finally:
            await self._cluster.close()

    def _checks(self) -> Iterator[Check]:
        chosen, cluster = self._chosen, self._cluster
        yield Check("definitions", (), self._definitions)
        yield Check("repository", (), self._find_repository)
        yield Check("bundle", ("definitions", "repository"), self._bundle)
        yield Check("api", (), cluster.contact)
        yield Check("namespace", ("api",), cluster.namespace)
        yield Check("pod security", ("namespace",), cluster.pod_security)
        yield Check("permissions", ("api",), cluster.permissions)
        yield Check("service account", ("namespace",), cluster.service_account)
        if chosen.bucket_secret:
            yield Check("bucket secret", ("namespace",), cluster.bucket_secret)
        place = ("bundle", "namespace", "permissions", "service account")
        for arch in chosen.arch:
            yield Check(f"pod {arch}", place, partial(self._pod, arch))
            yield Check(f"node {arch}", ("bundle", "api"), partial(self._node, arch))
        for name, flag, reference in self._images():
            yield Check(name, (), partial(self._image, flag, reference))
        yield Check("push", ("repository",), self._push)
        yield Check("probe image", ("push", "bundle base"), self._push_probe)
        if chosen.secret_key:
            yield Check("csi driver", ("api",), cluster.csi_driver)
            yield Check("key class", ("namespace", "csi driver"), cluster.key_class)
            yield Check("csi provider", ("key class",), cluster.csi_provider)

    def _probes(self) -> Iterator[Check]:
        chosen = self._chosen
        for arch in chosen.arch:
            place: tuple[str, ...] = (f"pod {arch}", "pod security", f"node {arch}")
            pull = f"pull {arch}"
            yield Check(pull, (*place, "probe image"), partial(self._pull, arch))
            if chosen.node_arch not in (None, arch):
                yield Check(f"emulation {arch}", (*place, pull), partial(self._emulation, arch))
            if chosen.isolation == "userns":
                userns = f"user namespace {arch}"
                yield Check(userns, (*place, pull), partial(self._userns, arch))
                place = (*place, userns)
            yield Check(f"sdk {arch}", (*place, "sdk image"), partial(self._sdk, arch))
            if chosen.secret_key:
                needs = (*place, pull, "key class")
                yield Check(f"key {arch}", needs, partial(self._key, arch))
            secret = ("bucket secret",) if chosen.bucket_secret else ()
            needs = (*place, *secret, pull)
            if chosen.bucket:
                write = partial(self._bucket, arch, chosen.bucket, write=True)
                yield Check(f"bucket {arch}", needs, write)
            if chosen.src_bucket:
                look = partial(self._bucket, arch, chosen.src_bucket, write=False)
                yield Check(f"source bucket {arch}", needs, look)

    def _images(self) -> Iterator[tuple[str, str, str]]:
        chosen = self._chosen
        yield "sdk image", "--sdk-image", chosen.sdk_image
        if chosen.agent_image:
            yield "bundle base", "--agent-image", chosen.agent_image
        else:
            yield "bundle base", "--bundle-base", chosen.bundle_base or default_base()
        if chosen.cache_bundle:
            yield "cache bundle", "--cache-bundle", chosen.cache_bundle

    # What was asked for.

    async def _definitions(self) -> Finding:
        chosen = self._chosen
        numbers = []
        refused: list[str] = []
        # The pod's melange may be another; but there is no better one to ask before there is a pod.
        check = LoadCheck(shutil.which("melange"), Path(chosen.directory))
        for arch in chosen.arch:
            work = partial(select, chosen, arch, self._terminal.say_once, ask=False)
            selection = await aside(work)  # `bundle` asks the repositories
            numbers.append(f"{count(len(selection.packages), 'package')} to make for {arch}")
            found = selection.definitions
            problems = await aside(partial(check.refused, found, selection.packages))
            refused += [found.place(one) for several in problems.values() for one in several]
        return doctor.definitions(", ".join(numbers), [*dict.fromkeys(refused)])

    async def _find_repository(self) -> Finding:
        self._repository = await aside(partial(bundle_repository, self._chosen))
        parse_repository(self._repository)
        pull = self._chosen.pull_repo
        if pull is None:
            return ok(f"the bundle goes to {self._repository}")
        parse_repository(pull)
        return ok(f"the bundle goes to {self._repository}, which nodes know as {pull}")

    async def _bundle(self) -> Finding:
        self._request = request = await aside(partial(prepare, self._chosen, self._terminal))
        return ok(count(len(request.tree.entries), "file"))

    # What the build's own Pod meets.

    async def _pod(self, arch: Arch) -> Finding:
        await dry_run(self._cluster.kube, pod(self._settings(arch)))
        return ok("the API server would create it")

    async def _node(self, arch: Arch) -> Finding:
        self._nodes = await read_list(self._cluster.kube, "/api/v1/nodes")
        if self._nodes is None:
            raise Unreadable("nodes may not be listed")
        running = "status.phase!=Succeeded,status.phase!=Failed"
        pods = await read_list(self._cluster.kube, "/api/v1/pods", fieldSelector=running)
        return fitting.judge(pod(self._settings(arch))["spec"], self._nodes, pods)

    # What registries say.

    async def _image(self, flag: str, reference: str) -> Finding:
        image = parse_reference(reference)
        try:
            found = await self._platforms(image)
        except RegistryError as error:
            # Only a tag, and the base, are asked for from here; a digest is for nodes to find.
            if (
                image.digest is None
                or flag in ("--bundle-base", "--agent-image")
                or isinstance(error, Refused)
            ):
                raise
            raise Unreadable(error.message, hint=error.hint) from error
        node = self._chosen.node_arch
        return doctor.image(reference, found, (node,) if node else self._chosen.arch, flag)

    async def _push(self) -> Finding:
        chosen = self._chosen
        if not chosen.push:
            return skipped("--push=false")
        target = parse_repository(self._repository)

        def push(way: RegistryTransport) -> str:
            repository = ImageRepository(way, target.repository, writes=True)
            repository.check_push()
            return repository.credentials()

        credentials = await self._ask(target.host, push)
        return ok(f"{self._repository} takes images from here ({credentials})")

    async def _push_probe(self) -> Finding:
        chosen = self._chosen
        if not self._probe:
            return skipped("--probe=false")
        insecure = chosen.insecure_registry
        choice = AgentChoice(agent=chosen.agent_image, base=chosen.bundle_base)
        agent = await aside(
            partial(choice.push, self._repository, insecure=insecure, tell=self._terminal.detail)
        )
        self._pushed = pushed = await aside(
            partial(push_bundle, self._repository, (), base=str(agent), insecure=insecure)
        )
        return ok(f"{pushed.reference} is there ({pushed.bytes_uploaded:,} bytes sent)")

    async def _platforms(self, image: Reference) -> dict[str, str]:
        return await self._ask(
            image.host, lambda way: read_platforms(ImageRepository(way, image.repository), image)
        )

    async def _ask(self, host: str, question: Callable[[RegistryTransport], T]) -> T:
        def answer() -> T:
            with RegistryTransport(host, insecure=self._chosen.insecure_registry) as way:
                return question(way)

        return await aside(answer)

    # What happens on a node.

    async def _pull(self, arch: Arch) -> Finding:
        probe = probes.pull_probe(self._probe_settings(arch))
        image = self._probe_settings(arch).bundle
        return await self._try(
            probe,
            lambda outcome: probes.judge(
                outcome,
                f"a node pulled {image.partition('@')[0]}",
                "a node cannot pull from the bundle's repository",
                "--pull-repo names the repository as nodes know it; a private one needs an"
                " imagePullSecret on the service account, or read access for the nodes",
            ),
        )

    async def _emulation(self, arch: Arch) -> Finding:
        if self._pushed is None:
            return skipped("--probe=false")
        found = await self._platforms(parse_reference(self._pushed.reference))
        platform = doctor.platform_for(found, arch)
        if platform is None:
            return skipped(f"the bundle's base is not for {arch.oci}")
        known_as = self._probe_settings(arch).bundle.partition("@")[0]
        return await self._try(
            probes.emulation_probe(self._probe_settings(arch), f"{known_as}@{found[platform]}"),
            lambda outcome: probes.judge_emulation(outcome, arch, self._namespace),
        )

    async def _userns(self, arch: Arch) -> Finding:
        return await self._try(probes.userns_probe(self._probe_settings(arch)), probes.judge_userns)

    async def _sdk(self, arch: Arch) -> Finding:
        return await self._try(
            probes.sdk_probe(self._settings(arch), melange_of(self._chosen.make_vars)),
            lambda outcome: probes.judge(
                outcome,
                "a node runs it: make and melange are there, and a step can be confined",
                "a build cannot run in the image of --sdk-image",
            ),
        )

    async def _key(self, arch: Arch) -> Finding:
        chosen = self._chosen
        return await self._try(
            probes.key_probe(self._probe_settings(arch)),
            lambda outcome: probes.judge(
                outcome,
                "it is mounted in a pod",
                "the key is not mounted",
                f"kubectl describe secretproviderclass -n {self._namespace}"
                f" {SECRET_PROVIDER_CLASS}; may {chosen.service_account} read the secret?",
            ),
        )

    async def _bucket(self, arch: Arch, bucket: Bucket, *, write: bool) -> Finding:
        chosen = self._chosen
        fix = doctor.bucket_access(bucket, chosen.service_account, chosen.bucket_secret)
        return await self._try(
            probes.bucket_probe(self._probe_settings(arch), write=write),
            lambda outcome: probes.judge_bucket(outcome, bucket, fix, write=write),
        )

    async def _try(
        self, probe: KubeObject, judge: Callable[[probes.ProbeOutcome], Finding]
    ) -> Finding:
        if not self._probe:
            return skipped("--probe=false")
        if not self._cluster.may_probe:
            return skipped("no permission to create, follow and delete a probe")
        if self._nodes is not None and all(obstacle(probe["spec"], node) for node in self._nodes):
            return skipped("there is no node now to try it on")
        try:
            return judge(await run_probe(self._cluster.kube, probe, self._terminal))
        except ApiError as error:
            if error.status == 0:
                raise
            return skipped(f"the probe was refused: {error.message}")

    def _settings(self, arch: Arch) -> PodSettings:
        assert self._request is not None  # noqa: S101  # whoever asks has needed `bundle`
        return next(one for one in self._request.pods if one.arch == arch)

    def _probe_settings(self, arch: Arch) -> PodSettings:
        """Return the settings of a Pod whose bundle is the image of probes."""
        if self._pushed is None or self._request is None:
            return self._settings(arch)
        request = self._request.with_bundle(self._request.target.known_as(self._pushed.reference))
        return next(one for one in request.pods if one.arch == arch)


def _namespace_of(chosen: PodOptions) -> str:
    try:
        return namespace_of(chosen)
    except DagError:
        return "default"  # the check of the API meets the same kubeconfig, and says what is wrong
