"""What was read of definitions is kept, and answers only for just what it was read of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dag.core.package import compile  # noqa: A004  # the module's name
from dag.errors import UsageError
from dag.io.package import parses
from dag.io.package.definitions import read
from tests.support.directories import define, needs, refusal

pytestmark = pytest.mark.usefixtures("cache")


def test_every_change_is_seen(directory: Path, tmp_path: Path) -> None:
    def a() -> list[str]:
        return needs(read(directory, arch="x86_64"), "a")

    assert a() == ["first"]
    path = directory / "pipelines/own/step.yaml"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_text("needs: {packages: [fresh]}\n")
    os.utime(path, ns=times)  # the same size and the same time
    assert a() == ["fresh"]
    definition = directory / "a.yaml"
    text = definition.read_text()
    times = (definition.stat().st_atime_ns, definition.stat().st_mtime_ns)
    definition.write_text(text.replace("own/step", "git-am##"[:6] + "  "))
    os.utime(definition, ns=times)
    assert a() == ["git"]
    definition.write_text(text)
    assert a() == ["fresh"]
    path.unlink()
    with pytest.raises(UsageError, match="no pipeline 'own/step'"):
        a()
    moved = directory / "z.yaml"
    definition.rename(moved)
    path.write_text("needs: {packages: [fresh]}\n")
    (one, *_) = (one for one in read(directory, arch="x86_64") if one.name == "a")
    assert (one.file, one.environment[0].file) == ("z.yaml", "z.yaml")


def test_build_options_and_architectures_have_entries_of_their_own(directory: Path) -> None:
    define(
        directory,
        "c",
        "options: {o: {environment: {contents: {packages: {add: [extra]}}}}}\n"
        "pipeline: [{needs: {packages: ['x-${{build.arch}}']}, runs: x}]",
    )
    assert needs(read(directory, arch="x86_64"), "c") == ["x-x86_64"]
    assert needs(read(directory, arch="arm64"), "c") == ["x-aarch64"]
    assert needs(read(directory, arch="x86_64", build_options=["o"]), "c") == ["extra", "x-x86_64"]
    assert needs(read(directory, arch="x86_64"), "c") == ["x-x86_64"]


def test_a_damaged_cache_is_no_answer(directory: Path, cache: Path) -> None:
    expected = read(directory, arch="x86_64")
    (kept,) = cache.iterdir()
    good = kept.read_bytes()
    for bad in (b"", b"x", good[:-1], good[:40] + bytes([good[40] ^ 1]) + good[41:]):
        kept.write_bytes(bad)
        assert read(directory, arch="x86_64") == expected
        assert kept.read_bytes() == good


def test_a_changed_program_reads_anew(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(directory, arch="x86_64")
    asked: list[str] = []
    real = compile.read_definition

    def noted(data: bytes, file: str, **more: Any) -> Any:
        asked.append(file)
        return real(data, file, **more)

    monkeypatch.setattr(compile, "read_definition", noted)
    read(directory, arch="x86_64")
    assert asked == []
    monkeypatch.setattr(parses, "code_digest", lambda: b"another program")
    read(directory, arch="x86_64")
    assert asked == ["a.yaml", "b.yaml"]


def test_a_cache_of_another_shape_is_no_answer(directory: Path, cache: Path) -> None:
    expected = read(directory, arch="x86_64")
    (kept,) = cache.iterdir()
    shapes = ([1, 2], {b"key": ["a", "1", "0"]}, {"text": None})
    deep = b"\x91" * 100_000 + b"\xc0"
    for payload in (*map(msgspec.msgpack.encode, shapes), deep):
        kept.write_bytes(hashlib.blake2b(payload, digest_size=16).digest() + payload)
        assert read(directory, arch="x86_64") == expected


def test_a_cache_that_cannot_be_written_is_no_failure(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(read(directory, arch="x86_64")) == 2


def test_problems_are_cached_and_mended(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    define(directory, "c", "epoch: [")
    first = refusal(directory)
    with monkeypatch.context() as context:
        context.setattr(compile, "read_definition", None)  # nothing is resolved again
        assert refusal(directory) == first
    define(directory, "c")
    assert len(read(directory, arch="x86_64")) == 3
