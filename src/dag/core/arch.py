"""Architectures, by the names that melange, Kubernetes and OCI give them."""

from __future__ import annotations

from dataclasses import dataclass

from dag.errors import UsageError

_OCI = {
    # melange/apk: OCI (GOARCH). https://pkg.go.dev/chainguard.dev/apko/pkg/build/types#Architecture
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm/v6",
    "armv7": "arm/v7",
    "loongarch64": "loong64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "x86": "386",
}
ARCHITECTURES = tuple(_OCI)
DEFAULT_ARCH = "x86_64"
"""The architecture of commands to which nobody names another one."""
_ALIASES = {oci: apk for apk, oci in _OCI.items()} | {"i386": "x86", "arm": "armv7"}


def apk_name(name: str) -> str | None:
    """Return what melange calls the architecture that others call `name`; None if nobody does."""
    apk = _ALIASES.get(name, name)
    return apk if apk in _OCI else None


@dataclass(frozen=True, slots=True)
class Arch:
    """One architecture: `apk` is what melange, paths and make say, `oci` what images say."""

    apk: str
    oci: str

    @property
    def kubernetes(self) -> str:
        """The value of the node label `kubernetes.io/arch`: GOARCH, without a variant."""
        return self.oci.partition("/")[0]

    def __str__(self) -> str:
        return self.apk

    @classmethod
    def parse(cls, name: str) -> Arch:
        """Return the architecture that `name` stands for.

        Raises:
            UsageError: nobody calls an architecture that.

        """
        apk = apk_name(name)
        if apk is None:
            from difflib import get_close_matches

            known = sorted({*_OCI, *_ALIASES})
            close = get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise UsageError(
                f"{name!r} is no architecture", hint=f"{meant}known are {', '.join(known)}"
            )
        return cls(apk, _OCI[apk])
