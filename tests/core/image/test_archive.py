"""Python's tarfile and GNU tar read from a tar archive what was put in."""

from __future__ import annotations

import io
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.image.archive import Directory, Entry, File, Symlink, archive, archive_size, file_of
from dag.errors import UsageError

names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=120,
).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    """Draw the entries of one directory."""
    chosen: list[Entry] = []
    taken: set[str] = set()
    above: set[str] = set()
    for path in draw(st.lists(paths, max_size=8)):
        parts = path.split("/")
        ancestors = {"/".join(parts[:n]) for n in range(1, len(parts))}
        if path in taken | above or ancestors & taken:
            continue
        taken.add(path)
        above |= ancestors
        match draw(st.integers(0, 3)):
            case 0:
                chosen.append(Symlink(path, draw(paths)))
            case 1:
                taken.discard(path)
                above.add(path)
                chosen.append(Directory(path))
            case _:
                data = draw(st.binary(max_size=1200))
                chosen.append(file_of(path, data, executable=draw(st.booleans())))
    return chosen


def packed(entries: list[Entry]) -> bytes:
    return b"".join(archive(tuple(sorted(entries, key=lambda entry: entry.path)), "bundle"))


@pytest.mark.long
@given(trees())
def test_what_goes_in_comes_out(entries: list[Entry]) -> None:
    data = packed(entries)
    assert len(data) == archive_size(tuple(sorted(entries, key=lambda e: e.path)), "bundle")
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        members = {member.name: member for member in read.getmembers()}
        assert all(member.mtime == member.uid == member.gid == 0 for member in members.values())
        assert all(member.uname == member.gname == "" for member in members.values())
        for entry in entries:
            member = members[f"bundle/{entry.path}"]
            match entry:
                case File():
                    stored = read.extractfile(member)
                    assert stored is not None
                    assert stored.read() == b"".join(entry.read())
                    assert member.mode == (0o755 if entry.executable else 0o644)
                case Symlink():
                    assert member.issym()
                    assert member.linkname == entry.target
                case Directory():
                    assert member.isdir()
                    assert member.mode == 0o755


def test_directories_come_before_what_they_hold() -> None:
    with tarfile.open(
        fileobj=io.BytesIO(packed([file_of("a/b/c", b""), file_of("a/d", b"")]))
    ) as t:
        assert t.getnames() == ["bundle", "bundle/a", "bundle/a/b", "bundle/a/b/c", "bundle/a/d"]


def test_gnu_tar_reads_long_and_foreign_names() -> None:
    name = "pfad/" + "ä" * 80 + "/" + "x" * 120
    entries: list[Entry] = [file_of(name, b"text"), Symlink("link", "y" * 150)]
    listed = subprocess.run(
        ["tar", "--quoting-style=literal", "-tvf", "-"],
        input=packed(entries),
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert f"bundle/{name}" in listed
    assert f"bundle/link -> {'y' * 150}" in listed


def test_a_file_beyond_what_octal_digits_hold() -> None:
    size = (1 << 33) + 5
    header = next(
        data for data in archive((File("big", size, lambda: ()),), "bundle") if b"big" in data
    )
    member = tarfile.open(fileobj=io.BytesIO(header), mode="r|").next()  # noqa: SIM115
    assert member is not None
    assert (member.name, member.size) == ("bundle/big", size)


@pytest.mark.parametrize("said", [3, 5])
def test_a_file_that_is_not_as_long_as_it_was_is_an_error(said: int) -> None:
    with pytest.raises(UsageError, match=r"grew\.txt changed while it was read"):
        packed([File("grew.txt", said, lambda: [b"four"])])
