"""From a package of Debian to packages of apk."""

from __future__ import annotations

import io
import posixpath
import re
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.system import run
from examples import apk
from examples.apk import Entry
from tests.real import names

ARCH = "x86_64"
_MULTIARCH = f"{ARCH}-linux-gnu"
_LIBRARIES = ("usr/lib", "usr/lib64", f"usr/lib/{_MULTIARCH}")

_LOWEST = "0-r0"

_DROPPED = re.compile(
    r"""
      usr/share/ (doc|doc-base|man|info|locale|lintian|bug|gtk-doc|help|reportbug|bash-completion
                 |zsh|fish|icons|pixmaps|applications|metainfo|perl/[\d.]+/unicore/.*\.txt) (/|$)
    | usr/share/python3?/ (debpython|runtime\.d)
    | (etc|usr/share)/ (cron|init|logrotate|apparmor)
    | usr/lib/ (systemd|sysusers|tmpfiles)
    | usr/bin/ (.*-)? (dwp|gp-.*|gprofng.*|ld\.gold|lto-dump(-\d+)?) $
    | usr/lib/.*/ (lib(a|t|l|hwa|ub)san[._] | libgprofng | gprofng/ | lib(bfd|ctf.*|opcodes)\.a)
    | usr/(lib|share)/.*perl.*/ (Encode/(CN|JP|KR|TW) | Unicode/Collate) [/.]
    """,
    re.VERBOSE,
)
"""What no build needs: a third of the files that every environment would have otherwise."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """What a package of Debian says about itself."""

    name: str
    version: str
    """The version of upstream alone, as far as apk can have it, with the epoch `r0` of melange."""
    provides: frozenset[str]
    needs: tuple[tuple[str, ...], ...]
    """The names of the packages that it depends on; one name of each tuple is enough."""


def read_control(deb: Path) -> Control:
    """Return what the package in the file `deb` says about itself."""
    fields = dict(
        re.findall(r"^([\w-]+): *((?:.*)(?:\n .*)*)", run("dpkg-deb", "-f", deb), re.MULTILINE)
    )
    version = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", fields["Version"])
    return Control(
        name=fields["Package"],
        version=f"{version[1] if version else 0}-r0",
        provides=frozenset(n for group in _groups(fields.get("Provides", "")) for n in group),
        needs=_groups(fields.get("Depends", "")) + _groups(fields.get("Pre-Depends", "")),
    )


def _groups(field: str) -> tuple[tuple[str, ...], ...]:
    """Return the names in `a (>= 1) | b:any, c` as ((a, b), (c,))."""
    groups = [group.split("|") for group in field.replace("\n", " ").split(",") if group.strip()]
    return tuple(tuple(re.split(r"[ (:\[]", one.strip())[0] for one in group) for group in groups)


def find_needs(controls: Iterable[Control]) -> dict[str, list[str]]:
    """Return, by package, those of the others that it depends on and that builds need."""
    controls = list(controls)
    giver = {one: control.name for control in controls for one in control.provides}
    giver |= {control.name: control.name for control in controls}
    found = {}
    for control in controls:
        groups = ([giver[one] for one in group if one in giver][:1] for group in control.needs)
        unneeded = names.NEVER_NEEDED.union({control.name}, names.UNNEEDED.get(control.name, ()))
        found[control.name] = sorted({one for group in groups for one in group} - unneeded)
    return found


def convert(deb: Path, control: Control, needs: Iterable[str]) -> dict[str, bytes]:
    """Return the packages of apk that are made of `deb`, by the names of their files.

    What melange looks for (`so:` and so on) is provided by a second package, because apko takes no
    two packages that provide the same name: Debian's libmd, which only Debian's own programs need,
    must not keep the built one out. Where both provide a name, apko takes the package of the higher
    version, so this one has the lowest.
    """
    entries = read_entries(deb, names.LINKS.get(control.name, {}))
    name, made = f"deb-{control.name}", {}
    made[f"{name}-{control.version}.apk"] = apk.pack(
        name,
        control.version,
        entries,
        architecture=ARCH,
        description=f"Debian's {control.name}",
        needs=[f"deb-{need}" for need in needs],
        level=1,
    )
    if provided := sorted({word for entry in entries if (word := _provided(entry.path))}):
        made[f"{name}-offers-{_LOWEST}.apk"] = apk.pack(
            f"{name}-offers",
            _LOWEST,
            [],
            architecture=ARCH,
            description=f"What Debian's {control.name} provides",
            needs=[name],
            provides=provided,
        )
    return made


def read_entries(deb: Path, links: Mapping[str, str]) -> list[Entry]:
    """Return what a package installs, with /bin, /sbin and /lib in /usr; `links` are in /usr/bin.

    Hard links become symbolic ones, which melange's tools can copy.
    """
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True)
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        for member in tar:
            path = _merge(member.name)
            if path != "." and not _DROPPED.match(path):
                entry = _entry(path, member, tar)
                found |= {path: entry} if entry else {}
    found |= {
        f"usr/bin/{name}": Entry.link(f"usr/bin/{name}", target) for name, target in links.items()
    }
    return [*found.values()]


def _entry(path: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> Entry | None:
    if member.isdir():
        return Entry.directory(path, member.mode & 0o7777)
    if member.islnk():
        return _link(path, _merge(member.linkname))
    if member.issym():
        # `../x` in /lib/a leads elsewhere from /usr/lib/a, so it is resolved where it was.
        folder = posixpath.dirname(posixpath.normpath(member.name))
        return _link(path, _merge(posixpath.join("/", folder, member.linkname).lstrip("/")))
    if (file := tar.extractfile(member)) is None:
        return None
    return Entry(path=path, mode=member.mode & 0o777, data=file.read())


def _link(path: str, target: str) -> Entry:
    return Entry.link(path, posixpath.relpath(f"/{target}", f"/{posixpath.dirname(path)}"))


def _merge(name: str) -> str:
    path = posixpath.normpath(name).lstrip("/")
    return f"usr/{path}" if path.split("/")[0] in ("bin", "sbin", "lib", "lib64") else path


def _provided(path: str) -> str | None:
    """Return the name by which melange looks for the provider of a file: so:, cmd: or pc:."""
    folder, name = posixpath.split(path)
    if folder in _LIBRARIES and re.search(r"\.so\.\d+$", name):
        return f"so:{name}=0"
    if folder in ("usr/bin", "usr/sbin"):
        return f"cmd:{name}=0"
    if name.endswith(".pc") and folder.endswith("/pkgconfig"):
        return f"pc:{name.removesuffix('.pc')}=0"
    return None
