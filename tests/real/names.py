"""Which packages of Debian stand for the packages that definitions ask for.

Most have similar names in both. The tables have the others, and what is to be known about Debian's.
"""

from __future__ import annotations

import re
from functools import cache

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
    "abseil-cpp": "libabsl-dev",
    "acl": "acl libacl1-dev",
    "alsa-lib": "libasound2-dev",
    "apr-util": "libaprutil1-dev",
    "at-spi2-core": "libatk-bridge2.0-dev libatk1.0-dev libatspi2.0-dev",
    "attr": "attr libattr1-dev",
    "binutils": "binutils",
    "binutils-dev": "binutils binutils-dev",
    "bison": "bison",
    "build-base": "g++ gcc libc6-dev make pkgconf",
    "busybox": "busybox-static",
    "bzip2": "bzip2 libbz2-dev",
    "curl": "curl libcurl4-openssl-dev",
    "cyrus-sasl": "libsasl2-dev",
    "cython": "cython3",
    "dav1d": "libdav1d-dev",
    "dbus": "dbus libdbus-1-dev",
    "dns-root-hints": "dns-root-data",
    "dnssec-root": "dns-root-data",
    "docbook-xml": "docbook-xml docbook-xsl",
    "e2fsprogs": "comerr-dev e2fsprogs libext2fs-dev ss-dev",
    "elfutils": "elfutils libdw-dev libelf-dev",
    "eudev": "libudev-dev",
    "file": "file libmagic-dev",
    "flex": "flex libfl-dev",
    "font-util": "xfonts-utils",
    "gcc": "g++ gcc",
    "gdk-pixbuf": "libgdk-pixbuf-2.0-dev",
    "gettext": "autopoint gettext",
    "giflib": "libgif-dev",
    "git": "git",
    "glib-gir": "libgirepository1.0-dev",
    "glibc": "libc6-dev",
    "go-1.19": "golang-1.19-go",
    "gobject-introspection": "gobject-introspection libgirepository1.0-dev",
    "gtk-2.0": "libgtk2.0-dev",
    "gtk-doc": "gtk-doc-tools",
    "guile": "guile-3.0 guile-3.0-dev",
    "libjpeg": "libjpeg62-turbo-dev",
    "libjpeg-turbo": "libjpeg62-turbo-dev",
    "libtool": "libtool libtool-bin",
    "libusb": "libusb-1.0-0-dev",
    "libxcrypt": "libcrypt-dev",
    "libxml2": "libxml2-dev libxml2-utils",
    "libxslt": "libxslt1-dev xsltproc",
    "linux-headers": "linux-libc-dev",
    "linux-pam": "libpam0g-dev",
    "luajit": "libluajit-5.1-dev luajit",
    "mariadb-connector-c": "libmariadb-dev",
    "mesa": "libegl-dev libgbm-dev libgl-dev",
    "mimalloc2": "libmimalloc-dev",
    "mkfontscale": "xfonts-utils",
    "ncurses": "libncurses-dev ncurses-bin",
    "net-snmp": "libsnmp-dev",
    "numactl": "libnuma-dev numactl",
    "oniguruma": "libonig-dev",
    "openjdk-17": "openjdk-17-jdk-headless",
    "openjpeg": "libopenjp2-7-dev",
    "openldap": "libldap-dev",
    "openssh": "openssh-client",
    "openssl": "libssl-dev openssl",
    "pcre": "libpcre3-dev",
    "perl": "perl",
    "perl-dev": "libperl-dev perl",
    "perl-devel-ppport": "perl",
    "perl-libwww": "libwww-perl",
    "perl-template-toolkit": "libtemplate-perl",
    "perl-tidy": "perltidy",
    "pkgconf": "pkgconf",
    "postgresql": "libpq-dev",
    "protobuf": "libprotobuf-dev protobuf-compiler",
    "py3-attrs": "python3-attr",
    "py3-cython": "cython3",
    "py3-flit-core": "flit",
    "py3-parsing": "python3-pyparsing",
    "py3-pyproject-hooks": "python3-pep517",
    "py3-setuptools-wheel": "python3-setuptools-whl",
    "python3": "python3 python3-distutils",
    "python3-dev": "python3 python3-dev python3-distutils",
    "s-lang": "libslang2-dev",
    "samurai": "ninja-build",
    "scanelf": "pax-utils",
    "sqlite": "libsqlite3-dev sqlite3",
    "ttf-dejavu": "fonts-dejavu-core",
    "userspace-rcu": "liburcu-dev",
    "util-linux": "libblkid-dev libmount-dev util-linux uuid-dev",
    "util-macros": "xutils-dev",
    "vala": "valac",
    "wayland": "libwayland-bin libwayland-dev",
    "xkbcomp": "x11-xkb-utils",
    "xkeyboard-config": "xkb-data",
    "xorg-server": "xserver-xorg-dev",
    "xorgproto": "x11proto-dev",
    "xprop": "x11-utils",
    "xset": "x11-xserver-utils",
    "xz": "liblzma-dev xz-utils",
    "zeromq": "libzmq3-dev",
    "zlib": "zlib1g-dev",
}

_PARTS = frozenset(
    {
        "base",
        "bundle",
        "default",
        "dev",
        "extras",
        "lang",
        "libs",
        "progs",
        "static",
        "tools",
        "utils",
    }
)
"""What follows the name of a package in the names of those that are split from it."""

_OTHER_FORMS = (
    (re.compile(r"(cmake|gcc|glibc|openldap|postgresql|ruby)-\d[\d.]*"), r"\1"),
    (re.compile(r"(?:py3-supported-python|python-3(?:\.\d+)?)(?:-base)?(?=-|$)"), "python3"),
    (re.compile(r"py3(?:\.\d+|-supported)-"), "py3-"),
    (re.compile(r"ruby\d[\d.]*-"), "ruby-"),
)
"""How names begin that have a version which no build looks at, as `gcc-14`, and what that stands for.

Debian has one Python and one Ruby. So the modules for one version, and what has those for all
versions, are Debian's for its own.
"""

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


def find(name: str, known: frozenset[str]) -> tuple[str, ...] | None:
    """Return the packages of Debian, among those `known`, that stand for `name`; None if none does.

    What is split from a package, such as NAME-dev, has the packages of NAME unless the table has
    others for it; NAME-doc needs none. Names that are not in the table are looked for in the forms in
    which Debian has them.
    """
    for form, plain in _OTHER_FORMS:
        if match := form.match(name):
            name = match.expand(plain) + name[match.end() :]
    whole = name
    while name:
        if name in _BASE_IS_ENOUGH:
            return ()
        if name in _DEBIAN:
            return tuple(_DEBIAN[name].split())
        if found := _find_form(name, known):
            return found
        name, _, part = name.rpartition("-")
        if part == "doc" and name != whole:
            return None if find(name, known) is None else ()
        if part not in _PARTS:
            return None
    return None


def _find_form(name: str, known: frozenset[str]) -> tuple[str, ...]:
    if name.startswith(("perl-", "py3-")):
        language, _, module = name.partition("-")
        form = f"lib{module}-perl" if language == "perl" else f"python3-{module}"
        return (form,) if form in known else ()
    name = name.replace("_", "-")
    headers = [form for form in (f"{name}-dev", f"lib{name}-dev") if form in known]
    headers = headers or [*_versioned(known).get(name.removeprefix("lib"), ())]
    return (*([name] if name in known else []), *headers)


@cache
def _versioned(known: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Return, by NAME, what Debian calls libNAME2-dev, if there is no libNAME3-dev beside it."""
    found: dict[str, list[str]] = {}
    for name in known:
        if match := re.fullmatch(r"lib(.+?)-?\d+(?:\.\d+)*-dev", name):
            found.setdefault(match[1], []).append(name)
    return {name: tuple(several) for name, several in found.items() if len(several) == 1}
