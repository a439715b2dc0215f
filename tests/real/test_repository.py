"""The bootstrap repository that is made of Debian's packages."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import subprocess
import tarfile
from pathlib import Path
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import pytest

from cluster.system import ClusterError
from tests.real import apt, convert, names, repository
from tests.real.apt import Deb
from tests.real.distribution import REMEDY, lay_out
from tests.real.outside import Outside
from tests.real.standin import standing_in
from tests.support.apks import read
from tests.support.builds import definition

CONTROL = """\
Package: {name}
Version: 2:1.4.2+dfsg-3
Architecture: amd64
Maintainer: nobody <nobody@example.org>
Depends: nothing-here | other-name (>= 1), missing
Provides: {name}-too (= 1)
Description: made by hand
"""


def make_deb(place: Path, name: str) -> Deb:
    """Make a package of Debian with links of every kind in it."""
    root = place / f"{name}-root"
    for folder in ("DEBIAN", "lib/x86_64-linux-gnu", "usr/bin", "usr/share/doc/x", "usr/lib/x"):
        (root / folder).mkdir(parents=True)
    (root / "DEBIAN/control").write_text(CONTROL.format(name=name))
    (root / "lib/x86_64-linux-gnu/liba.so.1.2").write_text(f"library of {name}")
    (root / "lib/x86_64-linux-gnu/liba.so.1").symlink_to("liba.so.1.2")
    (root / "usr/lib/x/up").symlink_to("../../../lib/x86_64-linux-gnu/liba.so.1")
    (root / "usr/bin/tool").write_text("tool")
    (root / "usr/bin/tool").chmod(0o4755)
    os.link(root / "usr/bin/tool", root / "usr/bin/zool")
    (root / "usr/share/doc/x/README").write_text("not needed")
    path = place / f"{name}_1.4.2_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", root, path], check=True, capture_output=True
    )
    return Deb(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def debs(tmp_path: Path) -> list[Deb]:
    return [make_deb(tmp_path, name) for name in ("busybox-static", "other")]


def test_a_package_of_debian_becomes_one_of_apk(debs: list[Deb], tmp_path: Path) -> None:
    entries = {one.path: one for one in convert.read_entries(debs[1].path, {"cc": "tool"})}
    libraries = "usr/lib/x86_64-linux-gnu"
    assert entries[f"{libraries}/liba.so.1.2"].data == b"library of other"
    assert entries[f"{libraries}/liba.so.1"].target == "liba.so.1.2"
    assert entries["usr/lib/x/up"].target == "../x86_64-linux-gnu/liba.so.1"
    assert entries["usr/bin/zool"].target == "tool"
    assert entries["usr/bin/tool"].mode == 0o755
    assert entries["usr/bin/cc"].target == "tool"
    assert not [path for path in entries if "doc" in path]
    control = convert.read_control(debs[1].path)
    assert control.version == "1.4.2-r0"
    made = convert.convert(debs[1].path, control, ["busybox-static"])
    assert sorted(made) == ["deb-other-1.4.2-r0.apk", "deb-other-offers-0-r0.apk"]
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    assert read(tmp_path / "deb-other-1.4.2-r0.apk").depends == ("deb-busybox-static",)
    assert read(tmp_path / "deb-other-1.4.2-r0.apk").provides == ()
    offers = read(tmp_path / "deb-other-offers-0-r0.apk")
    assert offers.depends == ("deb-other",)
    assert offers.provides == ("cmd:tool=0", "cmd:zool=0", "so:liba.so.1=0")


def test_alternatives_and_provided_names_are_needs_if_they_are_there(debs: list[Deb]) -> None:
    controls = [convert.read_control(deb.path) for deb in debs]
    assert convert.find_needs(controls) == {"busybox-static": [], "other": []}
    named = convert.Control(
        name="third", version="1-r0", provides=frozenset({"other-name"}), needs=(("other-too",),)
    )
    found = convert.find_needs([*controls, named])
    assert found == {"busybox-static": ["third"], "other": ["third"], "third": ["other"]}


def test_the_same_packages_make_the_same_repository(
    debs: list[Deb], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = repository._key()
    outside = [
        Outside(
            name="compiler",
            version="3-r1",
            packages={"compiler": ("other",), "lib": ()},
            provides={"compiler": ("cc=3",), "lib": ("old-lib=2",)},
        )
    ]
    found = []
    for number in "12":
        cache = tmp_path / number
        cache.mkdir()
        monkeypatch.setattr(apt, "place", lambda cache=cache: cache)
        place = tmp_path / f"made-{number}"
        repository.make(place, debs, outside, key)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        found.append({path.relative_to(place): path.read_bytes() for path in files})
    assert found[0] == found[1]
    thin = read(tmp_path / "made-1/x86_64/compiler-3-r1.apk")
    assert (thin.depends, thin.provides) == (("debian-base", "deb-other"), ("cc=3",))
    library = read(tmp_path / "made-1/x86_64/lib-3-r1.apk")
    assert (library.depends, library.provides) == (("debian-base",), ("old-lib=2",))
    with tarfile.open(tmp_path / "made-1/x86_64/APKINDEX.tar.gz") as tar:
        assert tar.getnames()[0].startswith(".SIGN.RSA")


def test_all_that_debian_lacks_is_said_at_once(tmp_path: Path) -> None:
    source = f"""\
pipeline:
  - {{uses: fetch, with: {{uri: https://a/b, expected-sha256: {"0" * 64}}}}}
  - {{uses: fetch, with: {{uri: https://a/c, expected-sha512: {"0" * 128}}}}}
  - {{uses: git-checkout, with: {{repository: https://a/d, expected-commit: {"0" * 40}}}}}
"""
    text = definition("a", "build-base", "unheard-of-dev", "b")
    (tmp_path / "a.yaml").write_text(re.sub("(?ms)^pipeline:.*", source, text))
    (tmp_path / "b.yaml").write_text(definition("b", "never-seen"))
    (tmp_path / "d.yaml").write_text(f"{definition('d')}subpackages: [{{name: '?'}}]\n")
    (tmp_path / "e.yaml").write_text(f"secfixes: {{}}\n{definition('e')}")
    with pytest.raises(ClusterError) as raised:
        lay_out(tmp_path / "distribution", tmp_path, ["a", "b", "c", "d", "e"])
    assert str(raised.value).split("\n") == [
        "there are no definitions for: c",
        "neither Debian nor tests/real/names.py has packages for: never-seen, unheard-of-dev",
        (
            "d.yaml:17: subpackage name '?' is not the name of a package;"
            " use letters, digits and + _ . -, beginning with a letter or digit"
        ),
        (
            "e.yaml:1: the melange of this machine cannot compile the definition: field secfixes not"
            " found in type config.Configuration; correct it, or use the melange that it was written for"
        ),
        "Debian's mirror does not have the sources of a (https://a/b)",
        "without a SHA-256 no file of Debian can be found for a (https://a/c)",
        "Debian has no git repositories for the checkouts of a (https://a/d)",
        REMEDY.format(place=apt.place() / "sources"),
    ]


def test_sources_are_looked_for_in_other_suites_too(tmp_path: Path) -> None:
    small = r"^ ([0-9a-f]{64}) \d{4} \S+\.orig\.tar\.\S+$"
    with apt._state():
        ours, others = (
            {
                digest
                for _, text in apt.source_lists(state)
                for digest in re.findall(small, text, re.MULTILINE)
            }
            for state in (apt.place(), apt.other_suites())
        )
    wanted = sorted(others - ours)[:8]
    # A mirror may lack some of what its lists have.
    assert apt.fetch_sources(wanted, tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openssl", ("libssl-dev", "openssl")),
        ("openssl-dev", ("libssl-dev", "openssl")),
        ("perl", ("perl",)),
        ("perl-dev", ("libperl-dev", "perl")),
        ("lcms2-dev", ("liblcms2-dev",)),
        ("py3-asn1", ("python3-asn1",)),
        ("perl-yaml", ("libyaml-perl",)),
        ("ca-certificates-bundle", ()),
        ("perl-doc", ()),
        ("npth", ("libnpth0-dev",)),
        ("glibc-2.43", ("libc6-dev",)),
        ("glibc-2.43-dev", ("libc6-dev",)),
        ("gcc-14-default", ("g++", "gcc")),
        ("postgresql-16-dev", ("libpq-dev",)),
        ("gtk-doc", ("gtk-doc-tools",)),
        ("gtk-doc-dev", ("gtk-doc-tools",)),
        ("git", ("git",)),
        ("expat-dev", ("expat", "libexpat1-dev")),
        ("libnetfilter_queue-dev", ("libnetfilter-queue-dev",)),
        ("python-3.12", ("python3", "python3-distutils")),
        ("python-3.12-base", ("python3", "python3-distutils")),
        ("python-3.12-base-dev", ("python3", "python3-dev", "python3-distutils")),
        ("py3-supported-python", ("python3", "python3-distutils")),
        ("py3-supported-python-dev", ("python3", "python3-dev", "python3-distutils")),
        ("py3.13-asn1", ("python3-asn1",)),
        ("py3-supported-asn1", ("python3-asn1",)),
        ("ruby-3.2-dev", ("ruby",)),
        ("ruby3.2-webrick", ("ruby-webrick",)),
        ("openssl-3.0", None),
        ("lua", None),
        ("never-seen-dev", None),
        ("never-seen-doc", None),
        ("perl-never-seen", None),
    ],
)
def test_names_are_those_of_debian_in_one_form_or_another(
    name: str, expected: tuple[str, ...] | None
) -> None:
    known = "python3-asn1 libyaml-perl liblcms2-dev libnpth0-dev liblua5.3-dev liblua5.4-dev"
    known += " expat libexpat1-dev git libgit2-dev libnetfilter-queue-dev ruby ruby-webrick"
    assert names.find(name, frozenset(known.split())) == expected


def test_a_stand_in_answers_for_the_host_that_a_definition_names(tmp_path: Path) -> None:
    (tmp_path / "x86_64").mkdir()
    (tmp_path / "x86_64/APKINDEX.tar.gz").write_bytes(b"the index")
    (tmp_path / "debian.rsa.pub").write_bytes(b"the key")
    with standing_in(tmp_path, name="packages.example.org") as variables:
        trusted = ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])
        opener = build_opener(
            ProxyHandler({"https": variables["HTTPS_PROXY"]}), HTTPSHandler(context=trusted)
        )
        stage = "https://packages.example.org/bootstrap/stage3"
        with opener.open(f"{stage}/x86_64/APKINDEX.tar.gz") as answer:
            assert answer.read() == b"the index"
        with opener.open(f"{stage}/wolfi-signing.rsa.pub") as answer:
            assert answer.read() == b"the key"
