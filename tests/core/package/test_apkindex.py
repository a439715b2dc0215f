from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.apkindex import BrokenIndex, IndexEntry, PackageRepository, read_index

TEXT = """\
C:Q1abc=
P:zlib
V:1.3-r0
o:zlib
D:so:libc.so.6
p:so:libz.so.1=1.3 pc:zlib=1.3

P:zlib-dev
V:1.3-r0
o:zlib

P:zlib
V:1.2-r4
"""


def test_an_entry_has_what_its_stanza_says() -> None:
    entries = read_index(TEXT)
    assert entries[0] == IndexEntry(
        "zlib",
        "1.3-r0",
        "zlib",
        ("so:libc.so.6",),
        ("so:libz.so.1=1.3", "pc:zlib=1.3"),
        checksum="Q1abc=",
    )
    repository = PackageRepository(entries)
    assert repository.names == {"zlib", "zlib-dev", "so:libz.so.1", "pc:zlib"}
    assert repository.versions["zlib"] == {"1.3-r0", "1.2-r4"}


def test_an_empty_index_has_nothing() -> None:
    assert read_index("") == read_index("\n\n") == []


@pytest.mark.parametrize("text", ["nonsense", "P:x\n\n", "V:1\n", "P:x\nlong:1\n"])
def test_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(BrokenIndex):
        read_index(text)


@given(st.text(max_size=100))
def test_no_text_makes_another_exception(text: str) -> None:
    try:
        read_index(text)
    except BrokenIndex:
        return


def test_what_apko_chooses_by_is_read() -> None:
    (entry,) = read_index("P:a-hook\nV:1-r0\nk:10\ni:a b=1\n")
    assert (entry.priority, entry.install_if) == (10, ("a", "b=1"))
    (candidate,) = PackageRepository([entry]).candidates
    assert (candidate.name, candidate.priority, candidate.install_if) == (
        "a-hook",
        10,
        ("a", "b=1"),
    )
    with pytest.raises(BrokenIndex, match="no number as priority: 'high'"):
        read_index("P:a\nV:1\nk:high\n")
