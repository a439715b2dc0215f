"""Asks the API server what it knows of the place of a build: itself, namespace, account, Secret."""

from __future__ import annotations

from dag.core.doctor import checks as doctor
from dag.core.doctor.checks import Finding, ok
from dag.core.kube.objects import KubeView
from dag.core.pod.identity import CloudIdentity, identity_of
from dag.core.pod.options import ClusterOptions
from dag.core.pod.sample import sample_pod
from dag.core.store.buckets import Bucket
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.opening import open_cluster
from dag.report.terminal import Terminal
from dag.run.pod.access import Unreadable, read_object

_PATIENCE = 10.0
"""Seconds for which policies may fail to answer; what is created later meets them anyway."""


class PlaceChecks:
    """The checks of a namespace in a cluster; each method makes one. `contact` comes first."""

    def __init__(self, chosen: ClusterOptions, namespace: str, terminal: Terminal) -> None:
        """Take the flags that name the cluster; nothing is asked yet."""
        self._chosen = chosen
        self._terminal = terminal
        self.name = namespace
        self.version: KubeView = {}
        """What the API server says of itself."""
        self._kube: Kube | None = None
        self._namespace: KubeView | None = None
        self._account: KubeView | None = None

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
        self._kube = kube = open_cluster(self._chosen, self._terminal.say)
        try:
            self.version = await kube.get("/version")
        except ApiError as error:
            if error.status == 403:
                raise Unreadable(error.message, hint=error.hint) from error
            raise
        return ok(f"{kube.server} answers: {doctor.version_name(self.version)}")

    async def namespace(self) -> Finding:
        """Judge the namespace."""
        self._namespace = await read_object(self.kube, f"/api/v1/namespaces/{self.name}")
        return doctor.namespace(self.name, self._namespace)

    async def pod_security(self, image: str, *, confined: bool) -> Finding:
        """Judge what policies of the cluster let a build do: they are asked, and no pod is created."""
        sample = sample_pod(self.name, self._chosen.service_account, image, confined=confined)
        path = f"/api/v1/namespaces/{self.name}/pods"
        try:
            await self.kube.create(path, sample, label="", dry_run=True, patience=_PATIENCE)
        except ApiError as error:
            if error.status == 0:
                raise
            refused = doctor.pod_refused(self.name, error.message)
        else:
            return doctor.pod_admitted(self.name)
        # Others may create Jobs and no pods, and the account may be missing: the label tells something.
        return refused or doctor.pod_security(self.name, self._namespace, confined=confined)

    async def service_account(self, bucket: Bucket | None, *, secret: bool) -> Finding:
        """Judge the account of Pods, and its identity for a bucket that no Secret opens."""
        name = self._chosen.service_account
        found = await read_object(
            self.kube, f"/api/v1/namespaces/{self.name}/serviceaccounts/{name}"
        )
        identity_of(found, bucket)  # what it says must be something that can be
        self._account = found
        return doctor.service_account(name, self.name, found, bucket, secret=secret)

    def identity(self, *buckets: Bucket | None) -> CloudIdentity | None:
        """Return the identity for buckets that the account says that it has, once it was judged.

        Raises:
            UsageError: an annotation of it has a value that it cannot have.

        """
        return identity_of(self._account, *buckets)

    async def bucket_secret(self, name: str) -> Finding:
        """Judge the Secret of --bucket-secret."""
        path = f"/api/v1/namespaces/{self.name}/secrets/{name}"
        return doctor.bucket_secret(
            name, self.name, await read_object(self.kube, path, secret=True)
        )
