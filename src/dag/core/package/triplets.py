"""The names that compilers have for an architecture, as melange's variables give them.

Source: https://pkg.go.dev/chainguard.dev/apko/pkg/build/types#Architecture.ToTriplet
"""

from __future__ import annotations

from functools import cache

from dag.core.arch import Arch

_VENDORS = {"x86": "pc", "x86_64": "pc", "s390x": "ibm"}
_GNU = {"x86": "i486", "armhf": "arm", "armv7": "armv7l", "ppc64le": "powerpc64le"}
_RUST = {"x86": "i686", "armhf": "armv6", "armv7": "armv7l", "ppc64le": "powerpc64le"}


@cache
def triplets(arch: Arch) -> dict[str, str]:
    """Return the variables with the names that compilers have for `arch`."""
    apk = arch.apk
    suffix = "eabihf" if apk in ("armhf", "armv7") else ""

    def gnu(libc: str) -> str:
        return f"{_GNU.get(apk, apk)}-{_VENDORS.get(apk, 'unknown')}-linux-{libc}{suffix}"

    def rust(libc: str) -> str:
        return f"{_RUST.get(apk, apk)}-unknown-linux-{libc}{suffix}"

    return {
        "host.triplet.gnu": gnu("gnu"),
        "host.triplet.rust": rust("gnu"),
        "cross.triplet.gnu.glibc": gnu("gnu"),
        "cross.triplet.gnu.musl": gnu("musl"),
        "cross.triplet.rust.glibc": rust("gnu"),
        "cross.triplet.rust.musl": rust("musl"),
    }
