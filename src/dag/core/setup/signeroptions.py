"""The flags of `dag setup signer`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from dag.core.arch import DEFAULT_ARCH, Arch
from dag.core.build.proxies import ProxyOptions
from dag.core.flags import Options, flag, flag_group, list_flag, required_flag, switch
from dag.core.image.kinds import IMAGE
from dag.core.kinds import ARCH, DURATION, FILE, NAME, TEXT, ValueKind
from dag.core.kube.options import ContextOptions, KubeconfigOptions
from dag.core.pod.options import CSI_DRIVER, BucketSecretOptions
from dag.core.pod.scheduling import SchedulingOptions
from dag.core.setup.cluster import BUILD_NAMESPACE
from dag.core.setup.network import NETWORK
from dag.core.setup.options import Annotation, SetupOptions, parse_annotation
from dag.core.setup.signer import SIGNER_NAMESPACE
from dag.errors import UsageError


@flag_group
class SignerPlaceOptions(Options):
    """The place of a signer."""

    heading: ClassVar[str] = "Signer"

    # `namespace` in dag.toml is where builds run, and there a key would be everybody's.
    signer_namespace: str | None = flag(
        NAME,
        "--signer-namespace",
        "Make the signer in this namespace, in which nobody builds.",
        shown=SIGNER_NAMESPACE,
    )
    store: str | None = flag(
        TEXT,
        "--store",
        "Sign what is in this store: a bucket, or a volume claim in that namespace"
        " (pvc://CLAIM[/FOLDER]) of the volume that builds have.",
        metavar="URL",
    )
    agent_image: str = required_flag(
        IMAGE, "--agent-image", "Run this image, which `dag image --push` has made."
    )
    node_arch: Arch = flag(
        ARCH, "--node-arch", "Run it on a node of this architecture.", default=DEFAULT_ARCH
    )
    schedule: str = flag(
        TEXT,
        "--schedule",
        "Look for requests at these times, as cron has them.",
        default="* * * * *",
        metavar="CRON",
    )
    reached: tuple[str, ...] = list_flag(
        NETWORK, "--reach", "Let it reach these addresses, too: those of a store."
    )
    annotations: tuple[Annotation, ...] = list_flag(
        ValueKind(metavar="KEY=VALUE", parse=parse_annotation),
        "--annotation",
        "Annotate its service account with this, as clouds tie it to an identity of theirs.",
    )
    pending_timeout: float = flag(
        DURATION,
        "--pending-timeout",
        "Give up the pod that tries the key and the store after this time.",
        default="5m",
    )


@flag_group
class SignerKeyOptions(Options):
    """The key that signs, and whom the signer trusts."""

    heading: ClassVar[str] = "Signing"

    signing_key: str | None = flag(
        FILE,
        "--signing-key",
        "Keep this private key as a Secret there. Only the command line can ask for it.",
        typed_only=True,
    )
    secret_class: str | None = flag(
        NAME,
        "--secret-class",
        "Take the key from the secret manager that this SecretProviderClass names, as melange.rsa.",
    )
    signing_key_name: str | None = flag(
        TEXT,
        "--signing-key-name",
        "Call the key by this name, without .rsa.",
        shown="the name of its file",
        metavar="NAME",
    )
    csi_driver: str = flag(
        TEXT,
        "--csi-driver",
        "Mount the key with this CSI driver.",
        default=CSI_DRIVER,
        metavar="NAME",
    )
    engine_keys: tuple[str, ...] = list_flag(
        FILE,
        "--engine-key",
        "Trust whoever has the private half of this public key, besides this machine.",
    )
    replaces_engines: bool = switch(
        "--replace-engines",
        "Trust nobody else any more. Without this, those stay trusted who were before.",
        typed_only=True,
    )
    trusts_store: bool = switch(
        "--trust-store",
        "Sign also what nobody has attested, such as what was built before. Who can write the store can"
        " then have anything signed.",
        typed_only=True,
    )


@flag_group
class SignedBuildsOptions(Options):
    """Those from whom the key is kept apart."""

    heading: ClassVar[str] = "Builds"

    namespace: str | None = flag(
        NAME,
        "-n --namespace",
        "Require that what builds in this namespace may create nothing where the signer is.",
        shown=BUILD_NAMESPACE,
    )
    service_account: str = flag(
        NAME,
        "--service-account",
        "Require it of this service account, as which builds run.",
        default="default",
    )
    users: tuple[str, ...] = list_flag(
        TEXT, "--user", "Require the same of this user, who drives builds.", metavar="NAME"
    )


@flag_group
class SignerSetupOptions(
    SetupOptions,
    ContextOptions,
    KubeconfigOptions,
    SignerPlaceOptions,
    SignerKeyOptions,
    SignedBuildsOptions,
    BucketSecretOptions,
    SchedulingOptions,
    ProxyOptions,
):
    """The flags of `dag setup signer`."""

    needs: ClassVar[Mapping[str, str]] = {"csi_driver": "--secret-class"}
    texts: ClassVar[Mapping[str, str]] = {
        "proxy": "Have it reach its bucket through this proxy, which is written http://HOST:PORT and has no "
        "login.",
        "no_proxy": "Have it reach these hosts, domains (.example.com) and networks without that proxy. "
        "Those of the cluster itself always are.",
    }

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: there is no key or there are two, or the signer would be where builds are.

        """
        if (self.signing_key is None) == (self.secret_class is None):
            raise UsageError(
                "nothing says which key signs, or two flags do",
                hint="give either --signing-key FILE, or --secret-class NAME",
            )
        if self.secret_class is not None and self.signing_key_name is None:
            raise UsageError(
                "nothing says how the key of --secret-class is called",
                hint="give --signing-key-name, the name that those have who verify, without .rsa",
            )
        name = self.signing_key_name
        if name is not None and not re.fullmatch(r"[A-Za-z0-9@_][A-Za-z0-9@._+-]*", name):
            raise UsageError(
                f"--signing-key-name {name!r} is no name of a key that apk finds",
                hint="it has letters, digits and any of @._+-, and begins with none of .+-",
            )
        place = self.signer_namespace or SIGNER_NAMESPACE
        if place == (self.namespace or BUILD_NAMESPACE):
            raise UsageError(
                f"the signer would be in {place}, where builds are, and so they would have its key",
                hint="name another namespace with --signer-namespace",
            )
