"""The flags of `dag setup gke`, `dag setup kind` and `dag setup cluster`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dag.core.flags import Options, flag, flag_group, list_flag, switch
from dag.core.image.kinds import IMAGE
from dag.core.kinds import DURATION, FILE, NAME, TEXT, URL, ValueKind, whole
from dag.core.kube.options import ContextOptions, KubeconfigOptions
from dag.core.package.options import DirectoryOptions, GeneralOptions
from dag.core.pod.options import CSI_DRIVER
from dag.core.setup.cluster import BINFMT_IMAGE, BUILD_NAMESPACE, GITHUB
from dag.core.setup.kind import REGISTRY_IMAGE
from dag.core.setup.network import NETWORK
from dag.errors import UsageError

_ANNOTATION = re.compile(r"([A-Za-z0-9./_-]+)=(.+)")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation of an object in Kubernetes."""

    key: str
    value: str


def parse_annotation(text: str) -> Annotation:
    """Read `KEY=VALUE`.

    Raises:
        UsageError: this is none.

    """
    found = _ANNOTATION.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is not KEY=VALUE")
    return Annotation(found[1], found[2])


@flag_group
class BuilderOptions(Options):
    """The account that pods build as, and the people who may have them do so."""

    heading: ClassVar[str] = "Builds"
    needs: ClassVar[Mapping[str, str]] = {
        "reached": "--close-network: it says what a closed network leaves open",
        "binfmt_image": "--binfmt",
    }

    namespace: str | None = flag(
        NAME, "-n --namespace", "Prepare this namespace for the builds.", shown=BUILD_NAMESPACE
    )
    service_account: str = flag(
        NAME, "--service-account", "Have pods run as this service account.", default="default"
    )
    users: tuple[str, ...] = list_flag(
        TEXT, "--user", "Permit this user to run `dag pod` and `dag build` there.", metavar="NAME"
    )
    groups: tuple[str, ...] = list_flag(
        TEXT, "--group", "Permit the users of this group to do the same.", metavar="NAME"
    )
    closes_network: bool = switch(
        "--close-network",
        "Let builds reach public addresses only, and not the cluster or its cloud's metadata.",
    )
    reached: tuple[str, ...] = list_flag(
        NETWORK, "--reach", "Let them reach these addresses, too: those of a store, or a mirror."
    )
    binfmt: bool = switch("--binfmt", "Emulate other architectures on every node.")
    binfmt_image: str = flag(
        IMAGE,
        "--binfmt-image",
        "Register the emulators with this image.",
        default=BINFMT_IMAGE,
        shown="tonistiigi/binfmt, by digest",
    )
    bundle_base: str | None = flag(
        IMAGE,
        "--bundle-base",
        "Try things out in pods of this image, which must have a shell.",
        shown="busybox, by digest",
    )


@flag_group
class SecretOptions(Options):
    """The way of pods to the signing key."""

    heading: ClassVar[str] = "Signing"
    needs: ClassVar[Mapping[str, str]] = {
        "csi_driver": "--secret-key",
        "pending_timeout": "--secret-key",
    }

    secret_key: bool = switch("--secret-key", "Have pods sign with the key in Secret Manager.")
    csi_driver: str = flag(
        TEXT,
        "--csi-driver",
        "Mount the key into pods with this CSI driver.",
        default=CSI_DRIVER,
        metavar="NAME",
    )
    arm: bool = switch("--arm", "Prepare nodes of arm64, too.")
    pending_timeout: float = flag(
        DURATION,
        "--pending-timeout",
        "Give up the pod that tries the key after this time.",
        default="5m",
    )


@flag_group
class SetupOptions(DirectoryOptions, GeneralOptions):
    """The choice of making, printing or taking away."""

    heading: ClassVar[str] = "What is done"
    needs: ClassVar[Mapping[str, str]] = {
        "json": "--print: it tells programs what that tells people",
        "yes": "--undo",
    }

    print: bool = switch("--print", "Print what would run as a shell script, and run nothing.")
    json: bool = switch(
        "--json",
        "With --print, print the script, its steps and the flags of builds as one JSON object, for "
        "programs.",
        typed_only=True,
    )
    undo: bool = switch(
        "--undo",
        "Take away what was made, after a question. Only the command line can ask for it.",
        typed_only=True,
    )
    yes: bool = switch(
        "--yes",
        "Answer the question of --undo with yes. Only the command line can do so.",
        typed_only=True,
    )


@flag_group
class GkeClusterOptions(Options):
    """The cluster that is made at Google."""

    heading: ClassVar[str] = "Cluster"

    project: str | None = flag(
        TEXT,
        "--project",
        "Make everything in this project of Google Cloud.",
        shown="the one that gcloud is set to",
        metavar="PROJECT",
        variable="PROJECT",
    )
    zone: str | None = flag(
        TEXT, "--zone", "Make the cluster in this zone, like europe-west4-a.", metavar="ZONE"
    )
    region: str | None = flag(
        TEXT, "--region", "Make the cluster in this region, in place of a zone.", metavar="REGION"
    )
    cluster: str = flag(
        TEXT, "--cluster", "Call the cluster by this name.", default="dag", metavar="NAME"
    )
    max_cpu: int = flag(
        whole(1), "--max-cpu", "Let all nodes together have at most this many CPUs.", default="64"
    )
    max_memory: int = flag(
        whole(1),
        "--max-memory",
        "Let all nodes together have at most this many GB of memory.",
        default="256",
    )
    arm_machine: str = flag(
        TEXT,
        "--arm-machine",
        "Use machines of this type for nodes of arm64.",
        default="c4a-standard-4",
        metavar="TYPE",
    )
    manifests: str = flag(
        URL,
        "--manifests",
        "Fetch the manifests of the CSI driver from here.",
        default=GITHUB,
    )


@flag_group
class GkeBucketOptions(Options):
    """Buckets that builds may use."""

    heading: ClassVar[str] = "Buckets"

    bucket: str | None = flag(
        TEXT, "--bucket", "Permit builds to upload packages to this bucket.", metavar="BUCKET"
    )
    src_bucket: str | None = flag(
        TEXT,
        "--src-bucket",
        "Permit builds to download packages from this bucket.",
        metavar="BUCKET",
    )


@flag_group
class PrivateKeyOptions(Options):
    """The key that is handed over."""

    heading: ClassVar[str] = "Signing"

    # `signing-key` in dag.toml is for `dag build`: a key leaves this machine by its owner's word only.
    signing_key: str | None = flag(
        FILE,
        "--signing-key",
        "Keep this private key in Secret Manager. It implies --secret-key, and only the command "
        "line can ask for it.",
        typed_only=True,
    )


@flag_group
class GkeOptions(
    SetupOptions,
    GkeClusterOptions,
    KubeconfigOptions,
    BuilderOptions,
    GkeBucketOptions,
    PrivateKeyOptions,
    SecretOptions,
):
    """The flags of `dag setup gke`."""

    needs: ClassVar[Mapping[str, str]] = {
        "arm_machine": "--arm",
        "csi_driver": "--secret-key or --signing-key",
        "manifests": "--secret-key or --signing-key",
        "pending_timeout": "--secret-key or --signing-key",
    }


@flag_group
class KindClusterOptions(Options):
    """The cluster that is made on this machine."""

    heading: ClassVar[str] = "Cluster"

    cluster: str = flag(
        TEXT, "--cluster", "Call the cluster by this name.", default="dag", metavar="NAME"
    )
    registry: str = flag(
        TEXT,
        "--registry",
        "Call the registry's container by this name.",
        default="kind-registry",
        metavar="NAME",
    )
    port: int = flag(
        whole(1, 65535), "--port", "Serve the registry at this port of localhost.", default="5001"
    )
    registry_image: str = flag(
        IMAGE,
        "--registry-image",
        "Run the registry from this image.",
        default=REGISTRY_IMAGE,
    )


@flag_group
class KindOptions(SetupOptions, KindClusterOptions, KubeconfigOptions, BuilderOptions):
    """The flags of `dag setup kind`."""


@flag_group
class IdentityOptions(Options):
    """The ties of the service account and the key to a cloud."""

    heading: ClassVar[str] = "Cluster"

    project: str | None = flag(
        TEXT,
        "--project",
        "Take the signing key from Secret Manager of this project of Google Cloud.",
        metavar="PROJECT",
        variable="PROJECT",
    )
    annotations: tuple[Annotation, ...] = list_flag(
        ValueKind(metavar="KEY=VALUE", parse=parse_annotation),
        "--annotation",
        "Annotate the service account with this, as clouds tie it to an identity of theirs.",
    )


@flag_group
class ExistingOptions(
    SetupOptions, ContextOptions, KubeconfigOptions, IdentityOptions, BuilderOptions, SecretOptions
):
    """The flags of `dag setup cluster`."""

    needs: ClassVar[Mapping[str, str]] = {"arm": "--secret-key", "project": "--secret-key"}
