"""The flags that say who signs what is finished, and whether anybody does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dag.core.flags import Options, flag, flag_group, switch
from dag.core.kinds import DURATION, FILE, choice


@flag_group
class KeyOptions(Options):
    """The key that signs."""

    heading: ClassVar[str] = "Signing"

    signing_key: str | None = flag(
        FILE,
        "--signing-key",
        "Sign the packages and the index with this private key.",
        shown="a key of the store's own",
    )


@flag_group
class SignerOptions(KeyOptions):
    """Who signs."""

    heading: ClassVar[str] = "Signing"
    needs: ClassVar[Mapping[str, str]] = {
        "signing_key": "--sign here",
        "signer_timeout": "--sign apart",
    }

    sign: str = flag(
        choice("here", "apart"),
        "--sign",
        "Sign on this machine (`here`), or have the signer do it that `dag setup signer` made (`apart`).",
        default="here",
    )
    signer_timeout: float = flag(
        DURATION,
        "--signer-timeout",
        "Wait at most this long for the signer of --sign apart.",
        default="15m",
    )

    @property
    def is_apart(self) -> bool:
        """Return whether somebody else signs."""
        return self.sign == "apart"


@flag_group
class PublishingOptions(SignerOptions):
    """The choice of signing and publishing nothing."""

    heading: ClassVar[str] = "Signing"
    needs: ClassVar[Mapping[str, str]] = {"signing_key": "--sign here and --publish"}

    publish: bool = switch(
        "--publish",
        "Sign and publish what is finished. If false, it is only kept, no key is needed, and `dag "
        "publish` publishes it later.",
        default=True,
    )

    @property
    def key_file(self) -> str | None:
        """Return the path of the user's key; None if the store's own signs, or nobody here."""
        return self.signing_key if self.signs_here else None

    @property
    def signs_here(self) -> bool:
        """Return whether what is finished is signed on this machine."""
        return self.publish and not self.is_apart
