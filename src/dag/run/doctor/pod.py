"""Gathers what `core.doctor` judges of a build in a pod: asks the API server, and, by probes, the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from dag.core.arch import Arch
from dag.core.build.scripts import melange_of
from dag.core.doctor import checks as doctor
from dag.core.doctor import fitting, probes
from dag.core.doctor.checks import Finding, ok, skipped
from dag.core.doctor.options import DoctorOptions
from dag.core.image.references import parse_reference
from dag.core.kube.objects import KubeObject, KubeView
from dag.core.pod.manifest import SECRET_PROVIDER_CLASS, PodSettings, pod
from dag.core.pod.nodes import obstacle
from dag.core.store.buckets import Bucket
from dag.io.kube.api import ApiError
from dag.report.terminal import Terminal
from dag.report.words import count
from dag.run.aside import aside
from dag.run.doctor.definitions import guess_namespace, judge_definitions
from dag.run.doctor.images import ImageChecks
from dag.run.doctor.podplace import ClusterChecks
from dag.run.doctor.probes import run_probe, without_usual_hint
from dag.run.pod.access import Unreadable, read_list
from dag.run.pod.examination import Check, examine
from dag.run.pod.place import PlaceChecks
from dag.run.pod.preflight import dry_run
from dag.run.pod.request import PodRequest, prepare


class PodDoctor:
    """One examination of what `dag pod` with these flags would meet.

    Checks leave in its attributes what later ones need of their answers.
    """

    def __init__(self, chosen: DoctorOptions, terminal: Terminal) -> None:
        self._namespace = namespace = guess_namespace(chosen)
        self._chosen = chosen = replace(chosen, namespace=namespace)
        self._terminal = terminal
        self._place = PlaceChecks(chosen, namespace, terminal)
        self._cluster = ClusterChecks(chosen, self._place)
        self._images = ImageChecks(chosen, terminal)
        self._nodes: Sequence[KubeView] | None = None
        self._request: PodRequest | None = None

    async def examine(self) -> dict[str, Finding]:
        """Make all checks, in the order in which they are told; no probe is left behind."""
        try:
            return await examine([*self._checks(), *self._probes()])
        finally:
            await self._place.close()

    def _checks(self) -> Iterator[Check]:
        chosen, cluster, place = self._chosen, self._cluster, self._place
        yield Check("definitions", (), self._definitions)
        yield Check("repository", (), self._images.find_repository)
        yield Check("bundle", ("definitions", "repository"), self._bundle)
        yield Check("api", (), place.contact)
        yield Check("namespace", ("api",), place.namespace)
        security = partial(place.pod_security, chosen.sdk_image, confined=chosen.confined)
        yield Check("pod security", ("namespace",), security)
        yield Check("permissions", ("api",), cluster.permissions)
        bucket = chosen.bucket or chosen.src_bucket
        secret = chosen.bucket_secret
        account = partial(place.service_account, bucket, secret=secret is not None)
        yield Check("service account", ("namespace",), account)
        if secret:
            yield Check("bucket secret", ("namespace",), partial(place.bucket_secret, secret))
        before = ("bundle", "namespace", "permissions", "service account")
        for arch in chosen.arch:
            yield Check(f"pod {arch}", before, partial(self._pod, arch))
            yield Check(f"node {arch}", ("bundle", "api"), partial(self._node, arch))
        yield from self._images.checks()
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
            if chosen.confined:
                userns = f"user namespace {arch}"
                yield Check(userns, (*place, pull), partial(self._userns, arch))
                place = (*place, userns)
            yield Check(f"sdk {arch}", (*place, "sdk image"), partial(self._sdk, arch))
            if chosen.proxy:
                try_proxy = partial(self._proxy, arch, chosen.proxy)
                yield Check(f"proxy {arch}", (*place, pull), try_proxy)
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

    async def _definitions(self) -> Finding:
        finding, _ = await judge_definitions(self._chosen, self._terminal)
        return finding

    async def _bundle(self) -> Finding:
        self._request = request = await aside(partial(prepare, self._chosen, self._terminal))
        return ok(count(len(request.tree.entries), "file"))

    # What the build's own Pod meets.

    async def _pod(self, arch: Arch) -> Finding:
        await dry_run(self._place.kube, pod(self._settings(arch)))
        return ok("the API server would create it")

    async def _node(self, arch: Arch) -> Finding:
        self._nodes = await read_list(self._place.kube, "/api/v1/nodes")
        if self._nodes is None:
            raise Unreadable("nodes may not be listed")
        running = "status.phase!=Succeeded,status.phase!=Failed"
        pods = await read_list(self._place.kube, "/api/v1/pods", fieldSelector=running)
        return fitting.judge(pod(self._settings(arch))["spec"], self._nodes, pods)

    # What happens on a node.

    async def _pull(self, arch: Arch) -> Finding:
        probe = probes.pull_probe(self._probe_settings(arch))
        image = self._probe_settings(arch).bundle
        return await self._try(
            probe,
            lambda outcome: probes.judge_pull(
                outcome,
                f"a node pulled {image.partition('@')[0]}",
                "a node cannot pull from the bundle's repository",
            ),
        )

    async def _emulation(self, arch: Arch) -> Finding:
        if self._images.pushed is None:
            return skipped("--probe=false")
        found = await self._images.platforms(parse_reference(self._images.pushed.reference))
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
            probes.judge_sdk,
        )

    async def _proxy(self, arch: Arch, proxy: str) -> Finding:
        return await self._try(
            probes.proxy_probe(self._probe_settings(arch), proxy),
            lambda outcome: probes.judge_proxy(outcome, proxy),
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
            lambda outcome: probes.judge_bucket(
                without_usual_hint(outcome), bucket, fix, write=write
            ),
        )

    async def _try(
        self, probe: KubeObject, judge: Callable[[probes.ProbeOutcome], Finding]
    ) -> Finding:
        if not self._chosen.probe:
            return skipped("--probe=false")
        if not self._cluster.may_probe:
            return skipped("no permission to create, follow and delete a probe")
        if self._nodes is not None and all(obstacle(probe["spec"], node) for node in self._nodes):
            return skipped("there is no node now to try it on")
        try:
            return judge(await run_probe(self._place.kube, probe, self._terminal))
        except ApiError as error:
            if error.status == 0:
                raise
            return skipped(f"the probe was refused: {error.message}")

    def _settings(self, arch: Arch) -> PodSettings:
        assert self._request is not None  # noqa: S101  # whoever asks has needed `bundle`
        return self._settings_in(self._request, arch)

    def _probe_settings(self, arch: Arch) -> PodSettings:
        """Return the settings of a Pod whose bundle is the image of probes."""
        pushed = self._images.pushed
        if pushed is None or self._request is None:
            return self._settings(arch)
        request = self._request.with_bundle(self._request.target.known_as(pushed.reference))
        return self._settings_in(request, arch)

    def _settings_in(self, request: PodRequest, arch: Arch) -> PodSettings:
        chosen = self._chosen
        request = request.with_identity(self._place.identity(chosen.bucket, chosen.src_bucket))
        return next(one for one in request.pods if one.arch == arch)
