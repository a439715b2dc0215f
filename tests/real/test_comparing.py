"""What counts as equal in packages that were built in several ways."""

from __future__ import annotations

from pathlib import Path

from tests.real.comparing import find_differences, read_facts
from tests.support.apks import make_apk


def made(place: Path, **packages: dict[str, object]) -> Path:
    (place / "x86_64").mkdir(parents=True)
    for name, more in packages.items():
        make_apk(place / "x86_64" / f"{name}.apk", name, **more)  # type: ignore[arg-type]
    return place


def test_versions_needs_provided_names_and_files_are_compared(tmp_path: Path) -> None:
    one = made(
        tmp_path / "one",
        same={"depends": ("so:a.so.1", "b")},
        older={},
        needy={"depends": ("so:a.so.1",)},
        giving={"provides": ("cmd:a=1",)},
        filled={"data": b"one"},
        alone={},
    )
    other = made(
        tmp_path / "other",
        same={"depends": ("b", "so:a.so.1")},
        older={"version": "2-r0"},
        needy={"depends": ("so:a.so.2",)},
        giving={},
        filled={"data": b"other"},
    )
    found = find_differences(read_facts(one), read_facts(other))
    assert [line.partition(":")[0] for line in found] == [
        "alone is in one of them only",
        "filled differs in data",
        "giving differs in provides",
        "needy differs in depends",
        "older differs in version",
    ]
    assert found[-2].endswith("['so:a.so.1', 'so:a.so.2']")


def test_what_is_not_reproducible_may_differ_in_its_files_only(tmp_path: Path) -> None:
    one = read_facts(made(tmp_path / "one", a={"data": b"one"}, b={"data": b"one"}))
    other = read_facts(
        made(tmp_path / "other", a={"data": b"other"}, b={"data": b"other", "version": "2-r0"})
    )
    assert find_differences(one, other, ["a", "b"]) == ["b differs in version: 1-r0 and 2-r0"]
