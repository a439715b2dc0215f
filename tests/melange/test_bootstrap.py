"""A real distribution that bootstraps from a repository which its definitions name."""

from __future__ import annotations

import shutil
from pathlib import Path

from dag.core.package.apk import archive_of
from dag.io.package.definitions import read_directory
from tests.support.builds import run
from tests.support.distributions import SEED, unpacked
from tests.support.faults import Origin
from tests.support.schema import checked
from tests.support.signing import SigningKey

STAGE3 = "https://packages.wolfi.dev/bootstrap/stage3"


def everything(place: Path) -> bytes:
    """Return the index of a repository that has an older version of all that is defined."""
    stanzas = []
    for package in read_directory(place, arch="x86_64").packages:
        made = [(package.name, package.provides)]
        made += [(one.name, one.provides) for one in package.subpackages]
        for name, provides in made:
            provided = " ".join(f"{text.partition('=')[0]}=0" for text in provides)
            head = f"C:Q1{'A' * 27}=\nP:{name}\nV:0-r0\nA:x86_64"
            stanzas.append(f"{head}\no:{package.name}\np:{provided}")
    return archive_of(stanzas)


def test_cycles_open_where_a_definition_s_repository_has_what_closes_them(
    origin: Origin, tmp_path: Path
) -> None:
    place = tmp_path / "definitions"
    shutil.copytree(unpacked(SEED), place)
    (place / "Makefile").write_text("packages/%:\n\t$(MELANGE) build $*\n")
    naming = [path for path in place.glob("*.yaml") if STAGE3 in path.read_text()]
    assert len(naming) == 50
    key = SigningKey(tmp_path, "wolfi-signing.rsa")
    index = everything(place)
    for path in naming:
        path.write_text(path.read_text().replace(STAGE3, f"{origin.url}/stage3"))
    # The user names the host, because it is this machine.
    user = SigningKey(tmp_path, "user.rsa")
    named = origin.put("/mine/x86_64/APKINDEX.tar.gz", user.signed(archive_of([])))
    words = ["--dry-run", "--json", "-r", named.removesuffix("/x86_64/APKINDEX.tar.gz")]
    words += ["--keyring", str(user.public)]
    # Without today's melange, which cannot load 40 of these definitions.
    cache = {"XDG_CACHE_HOME": str(tmp_path / "user"), "PATH": "/usr/bin:/bin"}
    _, out, said = run(place, *words, **cache)
    before = checked(out, "plan")
    assert f"{origin.url}/stage3 could not be asked" in said
    assert len(max(before["stuck"], key=lambda one: len(one["packages"]))["packages"]) == 40

    origin.put("/stage3/x86_64/APKINDEX.tar.gz", key.signed(index))
    origin.put("/stage3/wolfi-signing.rsa.pub", key.public.read_bytes())
    _, out, said = run(place, *words, **cache)
    after = checked(out, "plan")
    assert "could not be asked" not in said
    assert len(after["packages"]) > 150 > len(before["packages"])
    assert {len(one["packages"]) for one in after["stuck"]} <= {1, 8}
    assert {one["package"] for one in after["dropped"]} >= {"gcc", "binutils", "glibc"}
