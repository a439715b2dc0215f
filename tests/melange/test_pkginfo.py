"""A package is the same for dag and for melange, or dag refuses it."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dag.core.package.apk import BrokenPackage, PublishedApk, index_archive
from tests.support.apks import make_apk, read
from tests.torture.kills import environment

KEYS = ("pkgdesc", "url", "license", "maintainer", "commit", "depend", "provides", "replaces")
PIECES = st.sampled_from(
    [*"ab=:,;#'\"`\\%()[] \t", "%(pkgname)s", '"""', "so:x=1", "\\\n", "\u00a0", "\u2028", "é"]
)
VALUES = st.lists(PIECES, max_size=6).map("".join)
LINES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(KEYS), VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
        VALUES,
    ),
    max_size=5,
)
PACKAGES = 30


@given(st.lists(LINES, min_size=PACKAGES, max_size=PACKAGES))
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_what_is_not_refused_is_in_the_index_that_melange_makes(
    tmp_path_factory: pytest.TempPathFactory, many: list[list[str]]
) -> None:
    place = tmp_path_factory.mktemp("packages")
    there = []
    for number, lines in enumerate(many):
        path = place / f"p{number}-1-r0.apk"
        plain = [line for line in lines if not line.startswith(("pkgname", "datahash"))]
        make_apk(path, f"p{number}", more=tuple(plain))
        try:
            there.append(PublishedApk(read(path), path.stat().st_size))
        except BrokenPackage:
            path.unlink()
    ours = place / "ours.tar.gz"
    ours.write_bytes(index_archive(there))
    theirs = place / "APKINDEX.tar.gz"
    melange = str(shutil.which("melange", path=environment()["PATH"]))
    words = [melange, "index", "-o", str(theirs), *map(str, sorted(place.glob("*.apk")))]
    subprocess.run(words, check=True, capture_output=True)
    assert stanzas(ours) == stanzas(theirs)


def stanzas(index: Path) -> dict[str, list[str]]:
    with tarfile.open(index, ignore_zeros=True) as tar:
        file = tar.extractfile("APKINDEX")
        assert file is not None
        text = file.read().decode()
    found = {}
    for stanza in text.split("\n\n"):
        if stanza.strip():
            lines = stanza.strip("\n").split("\n")
            (name,) = (line for line in lines if line.startswith("P:"))
            found[name] = sorted(lines)
    return found
