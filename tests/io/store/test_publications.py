"""Where several may publish a unit at once, one does, and the others are told."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dag.core.store.layout import publication_name
from dag.core.store.publication import Publication
from dag.io.store.directory import DirectoryObjects
from dag.io.store.publications import Publications


@pytest.fixture
def objects(tmp_path: Path) -> DirectoryObjects:
    return DirectoryObjects(tmp_path, tmp_path / "lock")


def somebody(objects: DirectoryObjects) -> Publications:
    return Publications(objects, "x86_64", is_shared=True)


def half(result: str = "1" * 64) -> Publication:
    return Publication(name="a", version="1-r0", key="0" * 64, result=result, sizes={})


def whole(result: str = "1" * 64) -> Publication:
    return Publication(name="a", version="1-r0", key="0" * 64, result=result, sizes={"a": 1})


def test_another_result_waits_until_the_first_is_published(objects: DirectoryObjects) -> None:
    first, second = somebody(objects), somebody(objects)
    assert first.say(half())
    assert not second.say(half("2" * 64))
    assert first.say(whole())
    assert second.say(half("2" * 64))
    assert second.say(whole("2" * 64))


def test_the_same_result_is_published_at_once_and_the_slower_one_is_told(
    objects: DirectoryObjects,
) -> None:
    first, second = somebody(objects), somebody(objects)
    assert first.say(half())
    assert second.say(half())
    assert second.say(whole())
    assert first.say(whole())  # it is the very same
    assert first.say(half("2" * 64))
    assert not second.say(half("3" * 64))


def test_somebody_who_died_is_not_waited_for_without_end(objects: DirectoryObjects) -> None:
    first, second = somebody(objects), somebody(objects)
    assert first.say(half())
    long_ago = time.time() - 601
    os.utime(objects.path(publication_name("x86_64", "a", "1-r0")), (long_ago, long_ago))
    assert not second.is_under_way("a", "1-r0")
    assert second.say(half("2" * 64))
    assert first.is_under_way("a", "1-r0")
    assert not first.say(whole())
    assert second.say(whole("2" * 64))


class Unheard(DirectoryObjects):
    """Objects whose writes are done, and whose answers to that are lost, as if they met themselves."""

    def create(self, name: str, data: bytes) -> bool:
        super().create(name, data)
        return False

    def replace(self, name: str, data: bytes, version: str) -> bool:
        super().replace(name, data, version)
        return False


def test_who_was_first_and_did_not_hear_of_it_goes_on(tmp_path: Path) -> None:
    one = somebody(Unheard(tmp_path, tmp_path / "lock"))
    assert one.say(half())
    assert one.say(whole())
    assert one.say(half("2" * 64))
