"""Which packages of Debian stand for the packages that definitions ask for.

The names on the left are those of definitions; `find` knows what belongs to them (`openssl-dev`).
"""

from __future__ import annotations

from collections.abc import Iterable

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
        "posix-libc-utils",
        "wolfi-base",
        "wolfi-baselayout",
        "wolfi-keys",
    }
)
"""What the base and the compiler's packages have already, or what no build here looks at."""

_DEBIAN = {
    "acl": "acl libacl1-dev",
    "aom": "libaom-dev",
    "attr": "attr libattr1-dev",
    "autoconf": "autoconf",
    "automake": "automake",
    "bash": "bash",
    "binutils": "binutils",
    "binutils-dev": "binutils binutils-dev",
    "bison": "bison",
    "brotli": "brotli libbrotli-dev",
    "build-base": "g++ gcc libc6-dev make pkgconf",
    "busybox": "busybox-static",
    "bzip2": "bzip2 libbz2-dev",
    "cairo": "libcairo2-dev",
    "cmake": "cmake",
    "coreutils": "coreutils",
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
    "fontconfig": "fontconfig libfontconfig-dev",
    "freetype": "libfreetype-dev",
    "gawk": "gawk",
    "gcc": "g++ gcc",
    "gd": "libgd-dev",
    "gdbm": "libgdbm-dev",
    "gettext": "autopoint gettext",
    "giflib": "libgif-dev",
    "glib": "libglib2.0-dev",
    "glibc": "libc6-dev",
    "gmp": "libgmp-dev",
    "go-1.19": "golang-1.19-go",
    "gperf": "gperf",
    "graphviz": "graphviz libgraphviz-dev",
    "help2man": "help2man",
    "keyutils": "keyutils libkeyutils-dev",
    "libeconf": "libeconf-dev",
    "libedit": "libedit-dev",
    "libffi": "libffi-dev",
    "libjpeg": "libjpeg62-turbo-dev",
    "libpng": "libpng-dev",
    "libsm": "libsm-dev",
    "libsodium": "libsodium-dev",
    "libtool": "libtool libtool-bin",
    "libverto": "libverto-dev",
    "libx11": "libx11-dev",
    "libxau": "libxau-dev",
    "libxcb": "libxcb1-dev",
    "libxdmcp": "libxdmcp-dev",
    "libxext": "libxext-dev",
    "libxml2": "libxml2-dev libxml2-utils",
    "libxrender": "libxrender-dev",
    "libxslt": "libxslt1-dev xsltproc",
    "libxtst": "libxtst-dev",
    "linux-headers": "linux-libc-dev",
    "m4": "m4",
    "make": "make",
    "meson": "meson",
    "mpfr": "libmpfr-dev",
    "ncurses": "libncurses-dev ncurses-bin",
    "openldap": "libldap-dev",
    "openssl": "libssl-dev openssl",
    "pango": "libpango1.0-dev",
    "patch": "patch",
    "pax-utils": "pax-utils",
    "pcre2": "libpcre2-dev",
    "perl": "perl",
    "perl-dev": "libperl-dev perl",
    "pixman": "libpixman-1-dev",
    "pkgconf": "pkgconf",
    "py3-installer": "python3-installer",
    "py3-setuptools": "python3-setuptools",
    "python3": "python3 python3-distutils",
    "python3-dev": "python3 python3-dev python3-distutils",
    "readline": "libreadline-dev",
    "samurai": "ninja-build",
    "scanelf": "pax-utils",
    "texinfo": "texinfo",
    "util-linux": "libblkid-dev libmount-dev util-linux uuid-dev",
    "util-macros": "xutils-dev",
    "wayland": "libwayland-bin libwayland-dev",
    "wget": "wget",
    "xcb-proto": "xcb-proto",
    "xcb-util": "libxcb-util-dev",
    "xorgproto": "x11proto-dev",
    "xtrans": "xtrans-dev",
    "xz": "liblzma-dev xz-utils",
    "zlib": "zlib1g-dev",
    "zstd": "libzstd-dev zstd",
}

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


def find(name: str) -> tuple[str, ...] | None:
    """Return the packages of Debian that stand for `name`, or None if the table has none.

    What is split from a package, such as NAME-dev and NAME-doc, has the packages of NAME unless the
    table has others for it.
    """
    while name:
        if name in _BASE_IS_ENOUGH:
            return ()
        if name in _DEBIAN:
            return tuple(_DEBIAN[name].split())
        name = name.rpartition("-")[0]
    return None


def find_missing(names: Iterable[str]) -> list[str]:
    """Return those of `names` for which the table has nothing."""
    return sorted(name for name in names if find(name) is None)
