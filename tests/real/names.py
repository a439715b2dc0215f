"""Which packages of Debian stand for the packages that definitions ask for.

Most have similar names in both. The tables have the others, and what is to be known about Debian's.
"""

from __future__ import annotations

from collections.abc import Collection

BASE = (
    "base-files",
    "bash",
    "bzip2",
    "coreutils",
    "diffutils",
    "findutils",
    "gawk",
    "grep",
    "gzip",
    "libc-bin",
    "libc6",
    "sed",
    "tar",
    "xz-utils",
)
"""The packages that are in every environment, as in a chroot of Debian; busybox has the rest."""

_BASE_IS_ENOUGH = frozenset(
    {
        "apk-tools",
        "ca-certificates",
        "krb5-conf",
        "libatomic",
        "libgcc",
        "libstdc++",
        "openssf-compiler-options",
        "posix-cc-wrappers",
        "posix-libc-utils",
        "wolfi-base",
        "wolfi-baselayout",
        "wolfi-keys",
    }
)
"""What the base and the compiler's packages have already, or what no build here looks at."""

_DEBIAN = {  # by the name of a definition
    "acl": "acl libacl1-dev",
    "attr": "attr libattr1-dev",
    "binutils": "binutils",
    "binutils-dev": "binutils binutils-dev",
    "bison": "bison",
    "build-base": "g++ gcc libc6-dev make pkgconf",
    "busybox": "busybox-static",
    "bzip2": "bzip2 libbz2-dev",
    "cairo": "libcairo2-dev",
    "curl": "curl libcurl4-openssl-dev",
    "cyrus-sasl": "libsasl2-dev",
    "cython": "cython3",
    "dav1d": "libdav1d-dev",
    "dbus": "dbus libdbus-1-dev",
    "docbook-xml": "docbook-xml docbook-xsl",
    "e2fsprogs": "comerr-dev e2fsprogs libext2fs-dev ss-dev",
    "expat": "libexpat1-dev",
    "file": "file libmagic-dev",
    "flex": "flex libfl-dev",
    "gcc": "g++ gcc",
    "gettext": "autopoint gettext",
    "giflib": "libgif-dev",
    "glib": "libglib2.0-dev",
    "glibc": "libc6-dev",
    "go-1.19": "golang-1.19-go",
    "libjpeg": "libjpeg62-turbo-dev",
    "librsvg": "librsvg2-dev",
    "libtool": "libtool libtool-bin",
    "libuv": "libuv1-dev",
    "libxcb": "libxcb1-dev",
    "libxcrypt": "libcrypt-dev",
    "libxml2": "libxml2-dev libxml2-utils",
    "libxslt": "libxslt1-dev xsltproc",
    "linux-headers": "linux-libc-dev",
    "mkfontscale": "xfonts-utils",
    "ncurses": "libncurses-dev ncurses-bin",
    "openldap": "libldap-dev",
    "openssl": "libssl-dev openssl",
    "pango": "libpango1.0-dev",
    "pcre": "libpcre3-dev",
    "perl": "perl",
    "perl-dev": "libperl-dev perl",
    "pixman": "libpixman-1-dev",
    "pkgconf": "pkgconf",
    "python3": "python3 python3-distutils",
    "python3-dev": "python3 python3-dev python3-distutils",
    "samurai": "ninja-build",
    "scanelf": "pax-utils",
    "startup-notification": "libstartup-notification0-dev",
    "util-linux": "libblkid-dev libmount-dev util-linux uuid-dev",
    "util-macros": "xutils-dev",
    "wayland": "libwayland-bin libwayland-dev",
    "xorgproto": "x11proto-dev",
    "xz": "liblzma-dev xz-utils",
    "zlib": "zlib1g-dev",
}

_PARTS = frozenset({"bundle", "dev", "extras", "lang", "libs", "progs", "static", "tools", "utils"})
"""What follows the name of a package in the names of those that are split from it."""

UNNEEDED = {
    "libc6-dev": frozenset({"libnsl-dev", "libtirpc-dev", "rpcsvc-proto"}),
    "pax-utils": frozenset({"python3", "python3-pyelftools"}),
}
"""By package of Debian, those that it depends on and builds do not miss."""
NEVER_NEEDED = frozenset({"debconf", "dpkg"})
"""The packages that only maintainer scripts use."""

_TRIPLET = "x86_64-pc-linux-gnu"
"""The name of the machine that melange gives to builds, where Debian has another one."""

LINKS = {
    "automake": {"aclocal": "aclocal-1.16", "automake": "automake-1.16"},
    "bash": {"sh": "bash"},
    "binutils": {
        f"{_TRIPLET}-{tool}": tool
        for tool in ("ar", "as", "ld", "nm", "objcopy", "objdump", "ranlib", "strip")
    },
    "bison": {"yacc": "bison.yacc"},
    "cpp": {f"{_TRIPLET}-cpp": "cpp"},
    "g++": {"c++": "g++", f"{_TRIPLET}-c++": "g++", f"{_TRIPLET}-g++": "g++"},
    "gawk": {"awk": "gawk"},
    "gcc": {
        "c99": "gcc",
        "cc": "gcc",
        f"{_TRIPLET}-cc": "gcc",
        f"{_TRIPLET}-gcc": "gcc",
        f"{_TRIPLET}-gcc-ar": "gcc-ar",
        f"{_TRIPLET}-gcc-nm": "gcc-nm",
        f"{_TRIPLET}-gcc-ranlib": "gcc-ranlib",
    },
    "golang-1.19-go": {"go": "../lib/go-1.19/bin/go", "gofmt": "../lib/go-1.19/bin/gofmt"},
    "pkgconf": {f"{_TRIPLET}-pkg-config": "pkgconf"},
    "python3": {"python": "python3"},
}
"""By package of Debian, the links in /usr/bin that its maintainer scripts would make."""


def find(name: str, known: Collection[str]) -> tuple[str, ...] | None:
    """Return the packages of Debian, among those `known`, that stand for `name`; None if none does.

    What is split from a package, such as NAME-dev, has the packages of NAME unless the table has
    others for it; NAME-doc needs none. Names that are not in the table are looked for in the forms in
    which Debian has them.
    """
    if name.endswith("-doc"):
        return None if find(name.removesuffix("-doc"), known) is None else ()
    while name:
        if name in _BASE_IS_ENOUGH:
            return ()
        if name in _DEBIAN:
            return tuple(_DEBIAN[name].split())
        forms = [name, f"{name}-dev", f"lib{name}-dev"]
        if name.startswith(("perl-", "py3-")):
            language, _, module = name.partition("-")
            forms = [f"lib{module}-perl" if language == "perl" else f"python3-{module}"]
        if found := tuple(form for form in forms if form in known):
            return found
        name, _, part = name.rpartition("-")
        if part not in _PARTS:
            return None
    return None
