"""Asks the API server what it knows of what `dag pod` needs: permissions, and the driver of the key."""

from __future__ import annotations

import asyncio

from dag.core.doctor import checks as doctor
from dag.core.doctor.checks import Finding
from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import SECRET_PROVIDER_CLASS
from dag.core.pod.options import PodOptions
from dag.core.pod.permissions import EXPLAIN, permissions_for_pod
from dag.run.pod.access import (
    Unreadable,
    missing_permissions,
    read_list,
    read_object,
    read_user_name,
)
from dag.run.pod.place import PlaceChecks
from dag.run.pod.preflight import DRIVERS, key_class_path


class ClusterChecks:
    """The checks for `dag pod` that the API server alone can answer; each method makes one."""

    def __init__(self, chosen: PodOptions, place: PlaceChecks) -> None:
        self._chosen = chosen
        self._place = place
        self.may_probe = False
        self._class: KubeView = {}

    async def permissions(self) -> Finding:
        """Judge what this user may do; leave in `may_probe` whether that is enough for probes."""
        kube, namespace = self._place.kube, self._place.name
        build = permissions_for_pod(follow=self._chosen.watch, out=self._chosen.out is not None)
        probing = permissions_for_pod(follow=True, out=False)
        asked = list(dict.fromkeys([*build, *probing, *EXPLAIN]))
        lacking, user = await asyncio.gather(
            missing_permissions(kube, namespace, asked), read_user_name(kube)
        )
        self.may_probe = not {*lacking} & {*probing}
        needed = [*build, *EXPLAIN] if self._chosen.watch else build
        return doctor.permissions(
            namespace, needed, [one for one in lacking if one in needed], user
        )

    async def csi_driver(self) -> Finding:
        """Judge the driver that mounts the key."""
        name = self._chosen.csi_driver
        found = await read_object(self._place.kube, f"{DRIVERS}/{name}")
        nodes = await read_list(self._place.kube, "/apis/storage.k8s.io/v1/csinodes")
        return doctor.csi_driver(name, found, nodes)

    async def key_class(self) -> Finding:
        """Judge the class that says where the key is."""
        name, namespace = SECRET_PROVIDER_CLASS, self._place.name
        found = await read_object(self._place.kube, key_class_path(namespace))
        self._class = found or {}
        return doctor.key_class(name, namespace, found)

    async def csi_provider(self) -> Finding:
        """Judge the provider that the class wants."""
        sets = await read_list(self._place.kube, "/apis/apps/v1/daemonsets")
        if sets is None:
            raise Unreadable("DaemonSets may not be listed")
        return doctor.csi_provider(doctor.provider(self._class), sets)
