"""Asks the API server what it knows of the place of a build: namespace, permissions, accounts, drivers."""

from __future__ import annotations

import asyncio

from dag.core.doctor import checks as doctor
from dag.core.doctor.checks import Finding, ok
from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import SECRET_PROVIDER_CLASS
from dag.core.pod.options import PodOptions
from dag.core.pod.permissions import Permission, permissions_for_pod
from dag.errors import InfrastructureError
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.kubeconfig import connect
from dag.report.terminal import Terminal
from dag.run.pod.access import (
    Unreadable,
    missing_permissions,
    read_list,
    read_object,
    read_user_name,
)
from dag.run.pod.preflight import DRIVERS, key_class_path

_EVENTS = [Permission("list", "events"), Permission("watch", "events")]


class ClusterChecks:
    """The checks that the API server alone can answer; each method makes one."""

    def __init__(self, chosen: PodOptions, place: str, terminal: Terminal) -> None:
        """Take the name of the namespace for `place`."""
        self._chosen = chosen
        self._place = place
        self._terminal = terminal
        self.may_probe = False
        self._kube: Kube | None = None
        self._namespace: KubeView | None = None
        self._class: KubeView = {}

    @property
    def kube(self) -> Kube:
        """The API; whoever asks for it has needed `contact`."""
        assert self._kube is not None  # noqa: S101
        return self._kube

    async def close(self) -> None:
        """Close the connections, if there are any."""
        if self._kube is not None:
            await self._kube.close()

    async def contact(self) -> Finding:
        """Ask the API server who it is."""
        self._kube = kube = Kube(
            connect(self._chosen.kubeconfig, self._chosen.context), self._terminal.say
        )
        try:
            version = await kube.get("/version")
        except ApiError as error:
            if error.status == 403:
                raise Unreadable(error.message, hint=error.hint) from error
            if error.status:
                raise
            hint = error.hint or "kubectl cluster-info asks the same server; is the cluster up?"
            raise InfrastructureError(error.message, hint=hint) from error
        return ok(f"{kube.server} answers: {doctor.version_name(version)}")

    async def namespace(self) -> Finding:
        """Judge the namespace."""
        name = self._place
        self._namespace = await read_object(self.kube, f"/api/v1/namespaces/{name}")
        return doctor.namespace(name, self._namespace)

    async def pod_security(self) -> Finding:
        """Judge what the namespace forbids."""
        if self._namespace is None:
            raise Unreadable("the labels of the namespace may not be read")
        return doctor.pod_security(self._place, self._namespace)

    async def permissions(self) -> Finding:
        """Judge what this user may do; leave in `may_probe` whether that is enough for probes."""
        namespace = self._place
        build = permissions_for_pod(follow=self._chosen.watch, out=self._chosen.out is not None)
        probing = permissions_for_pod(follow=True, out=False)
        asked = list(dict.fromkeys([*build, *probing, *_EVENTS]))
        lacking, user = await asyncio.gather(
            missing_permissions(self.kube, namespace, asked), read_user_name(self.kube)
        )
        self.may_probe = not {*lacking} & {*probing}
        needed = [*build, *_EVENTS] if self._chosen.watch else build
        return doctor.permissions(
            namespace, needed, [one for one in lacking if one in needed], user
        )

    async def service_account(self) -> Finding:
        """Judge the Pod's account."""
        chosen = self._chosen
        name, namespace = chosen.service_account, self._place
        found = await read_object(
            self.kube, f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
        )
        return doctor.service_account(
            name,
            namespace,
            found,
            chosen.bucket or chosen.src_bucket,
            secret=chosen.bucket_secret is not None,
        )

    async def bucket_secret(self) -> Finding:
        """Judge the Secret of --bucket-secret."""
        name, namespace = str(self._chosen.bucket_secret), self._place
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        return doctor.bucket_secret(
            name, namespace, await read_object(self.kube, path, secret=True)
        )

    async def csi_driver(self) -> Finding:
        """Judge the driver that mounts the key."""
        name = self._chosen.csi_driver
        found = await read_object(self.kube, f"{DRIVERS}/{name}")
        nodes = await read_list(self.kube, "/apis/storage.k8s.io/v1/csinodes")
        return doctor.csi_driver(name, found, nodes)

    async def key_class(self) -> Finding:
        """Judge the class that says where the key is."""
        name, namespace = SECRET_PROVIDER_CLASS, self._place
        found = await read_object(self.kube, key_class_path(namespace))
        self._class = found or {}
        return doctor.key_class(name, namespace, found)

    async def csi_provider(self) -> Finding:
        """Judge the provider that the class wants."""
        sets = await read_list(self.kube, "/apis/apps/v1/daemonsets")
        if sets is None:
            raise Unreadable("DaemonSets may not be listed")
        return doctor.csi_provider(doctor.provider(self._class), sets)
