"""The flags of `dag pod`, which `dag doctor` examines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from dag.core.arch import Arch
from dag.core.build.options import ResultFileOptions, SelectionOptions
from dag.core.build.proxies import ProxyOptions
from dag.core.flags import Options, flag, flag_group, list_flag, switch
from dag.core.image.kinds import IMAGE, REPOSITORY
from dag.core.kinds import ARCH, DIRECTORY, DURATION, NAME, QUANTITY, TEXT, ValueKind, choice
from dag.core.kube.options import CONTEXT_NAMESPACE, ContextOptions, KubeconfigOptions
from dag.core.package.options import ArchsOptions, GeneralOptions
from dag.core.pod.scheduling import SchedulingOptions
from dag.core.store.buckets import Bucket
from dag.errors import UsageError

SDK_IMAGE = "ghcr.io/wolfi-dev/sdk:latest"
CSI_DRIVER = "secrets-store.csi.k8s.io"

_OR_MORE = "or for more if a definition that is built asks for more."
_BUCKET = ValueKind(metavar="gs://…|s3://…|az://…", parse=Bucket.parse)


def _key_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", text):
        raise UsageError(
            f"{text!r} is no name of a file",
            hint="it is the base name, without .rsa, like wolfi-signing",
        )
    return text


@flag_group
class ImagesOptions(Options):
    """The images of a build in a pod."""

    heading: ClassVar[str] = "Build"

    sdk_image: str = flag(
        IMAGE,
        "--sdk-image",
        "Build in this image, which must have make, melange and bubblewrap.",
        default=SDK_IMAGE,
    )
    cache_bundle: str | None = flag(
        IMAGE,
        "--cache-bundle",
        "Take sources from this image, which `dag cache --bundle-repo` has pushed.",
    )


@flag_group
class PodBuildOptions(ImagesOptions):
    """The images and the manner of a build in a pod."""

    keep_going: bool = switch("--keep-going", "Go on after a failure, as make -k does.")


@flag_group
class BundleOptions(Options):
    """The image that brings the directory to the nodes."""

    heading: ClassVar[str] = "Bundle"

    bundle_repo: str | None = flag(
        REPOSITORY,
        "--bundle-repo",
        "Push the directory as an image to this repository.",
        shown="gcr.io/PROJECT/dag",
        variable="REPO",
    )
    project: str | None = flag(
        TEXT,
        "--project",
        "Use gcr.io/PROJECT/dag of this project of Google Cloud if there is no --bundle-repo.",
        shown="the one that gcloud is set to",
        metavar="PROJECT",
        variable="PROJECT",
    )
    pull_repo: str | None = flag(
        REPOSITORY,
        "--pull-repo",
        "Have nodes pull the bundle from this repository, if they know it by another name.",
        shown="that of --bundle-repo",
    )
    bundle_base: str | None = flag(
        IMAGE,
        "--bundle-base",
        "Make the agent's image on this one, which must have glibc and the Python that dag runs on.",
        shown="python:VERSION-slim, by digest",
    )
    agent_image: str | None = flag(
        IMAGE,
        "--agent-image",
        "Put the bundle on top of this image, which `dag image` has made, and make none.",
    )
    include: tuple[str, ...] = list_flag(
        TEXT,
        "--include",
        "Bundle this path although it would be left out.",
        metavar="PATH",
    )
    insecure_registry: bool = switch(
        "--insecure-registry", "Speak plain HTTP with the registry of the bundle."
    )


@flag_group
class PushOptions(BundleOptions):
    """The choice of pushing no bundle."""

    push: bool = switch(
        "--push", "Push the bundle. If false, only its digest is computed.", default=True
    )


@flag_group
class PlaceOptions(Options):
    """The place of the pod in the cluster, and its rights."""

    heading: ClassVar[str] = "Cluster"

    namespace: str | None = flag(
        NAME,
        "-n --namespace",
        "Create pods in this namespace.",
        shown=CONTEXT_NAMESPACE,
    )
    service_account: str = flag(
        NAME, "--service-account", "Run pods as this service account.", default="default"
    )
    node_arch: Arch | None = flag(
        ARCH,
        "--node-arch",
        "Run pods on nodes of this architecture, if they emulate the one of --arch.",
        shown="that of --arch",
    )


@flag_group
class ClusterOptions(ContextOptions, KubeconfigOptions, PlaceOptions, SchedulingOptions):
    """The cluster, the place in it, and the rights there."""


@flag_group
class PodPlaceOptions(ClusterOptions):
    """The privilege of the pod."""

    heading: ClassVar[str] = "Cluster"

    isolation: str = flag(
        choice("privileged", "userns"),
        "--isolation",
        "Run the build with all privileges on its node, or without any in a user namespace.",
        default="privileged",
    )


@flag_group
class DiskOptions(Options):
    """The request of a build for the disk of its node; a definition may raise it."""

    heading: ClassVar[str] = "Resources"

    disk: str = flag(
        QUANTITY,
        "--disk",
        f"Ask for this much disk, {_OR_MORE}",
        default="1Gi",
    )


@flag_group
class ResourceOptions(DiskOptions):
    """Requests of the build to its node; a definition may raise them."""

    cpu: str = flag(
        QUANTITY,
        "--cpu",
        f"Ask for this many CPUs, {_OR_MORE}",
        default="1",
    )
    ram: str = flag(
        QUANTITY,
        "--ram",
        f"Ask for this much memory, {_OR_MORE}",
        default="2Gi",
    )


@flag_group
class ExtentOptions(Options):
    """The end of the command: a manifest, a pod or a result, and the time until then."""

    heading: ClassVar[str] = "What is done"
    needs: ClassVar[Mapping[str, str]] = {"pending_timeout": "--create and --watch"}

    create: bool = switch(
        "--create", "Create the pod. If false, its manifest is printed.", default=True
    )
    watch: bool = switch(
        "--watch -w", "Follow the pod to its end. If false, its name is printed.", default=True
    )
    out: str | None = flag(DIRECTORY, "--out", "Bring the built packages back to this directory.")
    pending_timeout: float = flag(
        DURATION,
        "--pending-timeout",
        "Give up a pod that has not begun to build after this time.",
        default="5m",
    )
    timeout: float | None = flag(
        DURATION, "--timeout", "Have Kubernetes end the pod after this time.", shown="no limit"
    )


@flag_group
class BucketSecretOptions(Options):
    """The credentials of pods for buckets."""

    heading: ClassVar[str] = "Buckets"

    bucket_secret: str | None = flag(
        TEXT,
        "--bucket-secret",
        "Reach the buckets with the entries of this Secret, named as the cloud's own tools have them.",
        shown="the pod's own identity",
        metavar="NAME",
    )


@flag_group
class BucketOptions(BucketSecretOptions):
    """Buckets that packages come from and go to."""

    heading: ClassVar[str] = "Buckets"
    needs: ClassVar[Mapping[str, str]] = {"bucket_secret": "--bucket or --src-bucket"}

    bucket: Bucket | None = flag(
        _BUCKET,
        "--bucket",
        "Upload the packages that are finished to this bucket, however the build ends.",
    )
    src_bucket: Bucket | None = flag(
        _BUCKET,
        "--src-bucket",
        "Take what this bucket has in the very version, and do not build it.",
    )
    transfer_image: str | None = flag(
        IMAGE,
        "--transfer-image",
        "This is refused, because dag transfers packages itself.",
        shown="none",
    )


@flag_group
class SigningOptions(Options):
    """The key that signs in the pod."""

    heading: ClassVar[str] = "Signing"
    needs: ClassVar[Mapping[str, str]] = {
        "signing_key_name": "--secret-key",
        "csi_driver": "--secret-key",
    }

    secret_key: bool = switch("--secret-key", "Sign with the key that a CSI driver mounts.")
    signing_key_name: str = flag(
        ValueKind(metavar="NAME", parse=_key_name),
        "--signing-key-name",
        "Call that key by this name, without .rsa.",
        default="wolfi-signing",
    )
    csi_driver: str = flag(
        TEXT,
        "--csi-driver",
        "Mount the key with this CSI driver.",
        default=CSI_DRIVER,
        metavar="NAME",
    )


@flag_group
class PodOptions(
    ArchsOptions,
    SelectionOptions,
    ExtentOptions,
    PodBuildOptions,
    PushOptions,
    PodPlaceOptions,
    ProxyOptions,
    ResourceOptions,
    BucketOptions,
    SigningOptions,
    ResultFileOptions,
    GeneralOptions,
):
    """The flags of `dag pod`; durations in seconds."""

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: two flags exclude each other.

        """
        if self.create and not self.push:
            raise UsageError(
                "--push=false needs --create=false: nodes could not pull a bundle that nobody pushed"
            )
        if self.transfer_image is not None:
            raise UsageError(
                "--transfer-image has no meaning any more: dag transfers packages itself",
                hint="leave it out, also in dag.toml and $DAG_TRANSFER_IMAGE",
            )
        if self.out and not self.watch:
            raise UsageError("--out needs --watch: somebody has to fetch the packages")
        for flag_name, bucket in (("--bucket", self.bucket), ("--src-bucket", self.src_bucket)):
            if bucket is not None and bucket.scheme == "az" and not self.bucket_secret:
                raise UsageError(
                    f"{flag_name} {bucket} needs --bucket-secret: nothing else says whose it is",
                    hint="its entries are AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
                )

    @property
    def confined(self) -> bool:
        """True if the build has no privilege: a user namespace, and nobody in it is root."""
        return self.isolation == "userns"

    @property
    def key_name(self) -> str | None:
        """The name of the key that the CSI driver mounts; None is a throwaway key."""
        return self.signing_key_name if self.secret_key else None
