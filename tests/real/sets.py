"""The definitions that are built, and where they come from."""

from __future__ import annotations

from pathlib import Path

from cluster.system import say
from tests.support.distributions import SEED, MissingDataError, unpacked

QUICK = ("dumb-init", "http-parser", "keyutils", "libaio", "libbsd", "libmd", "lz4", "zip")
"""What `make test` builds. Its definitions are part of this repository."""
DEFINITIONS = Path(__file__).with_name("definitions")
"""The definitions of `QUICK`, unmodified."""

REAL = (
    *QUICK,
    "cjson",
    "digest",
    "gc",
    "libassuan",
    "libcap-ng",
    "libgcrypt",
    "libgpg-error",
    "libkcapi",
    "libseccomp",
    "libusb",
    "perl-yaml-syck",
    "py3-asn1",
    "scdoc",
)
"""What `make real` builds: definitions of the distribution of January 2023, and `digest`, which is
a program of this repository that uses libgcrypt."""

LONG = (
    "c-ares",
    "findutils",
    "gobject-introspection",
    "graphite2",
    "krb5",
    "lcms2",
    "libevent",
    "libwebp",
    "linux-pam",
    "nasm",
    "protobuf",
    "userspace-rcu",
    "vala",
)
"""What `make torture` builds as well."""

SETS: dict[str, tuple[str, ...]] = {"quick": QUICK, "real": REAL, "long": LONG}

NOT_REPRODUCIBLE: dict[str, str] = {}
"""The packages whose files differ with every build, and why."""


def found(name: str) -> tuple[Path, tuple[str, ...]]:
    """Return the directory of the definitions of a set, and the names in the set.

    Without the data of the real distribution that is what this repository has of the set, and what
    is left out is said.
    """
    if name == "quick":
        return DEFINITIONS, QUICK
    try:
        return unpacked(SEED), SETS[name]
    except MissingDataError as error:
        here = tuple(one for one in SETS[name] if one in QUICK)
        others = ", ".join(one for one in SETS[name] if one not in here)
        say(f"{others} are left out: {error}")
        return DEFINITIONS, here
