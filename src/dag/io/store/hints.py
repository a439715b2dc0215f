"""What a store remembers of the needs of units; it can be lost, because it is found out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from dag.core.decoding import Undecodable, decode
from dag.core.limits import Limit, TooLarge
from dag.errors import words_of
from dag.io.store.objects import Objects, StoreError, update

_LIMIT = Limit("the hints of a store", 64 << 20)
_DECODER = msgspec.json.Decoder(dict[str, int])


class Hints:
    """The bytes of something that units of one architecture turned out to need, by name."""

    def __init__(self, objects: Objects, name: str, what: str) -> None:
        """Take the objects of the store, the name of the one that has this, and what it is in words."""
        self._objects = objects
        self._name = name
        self._what = what

    def all(self) -> dict[str, int]:
        """Return what is known."""
        try:
            found = self._objects.read(self._name, _LIMIT)
        except TooLarge:
            return {}
        return _decode(found.data if found is not None else None)

    def remember(self, needs: Mapping[str, int], say: Callable[[str], None]) -> None:
        """Remember how many bytes units need, by name; `say` is told if that cannot be.

        What is lost is found out again, so no build ends for that.
        """

        def change(data: bytes | None) -> bytes:
            known = _decode(data)
            grown = {unit: max(size, known.get(unit, 0)) for unit, size in needs.items()}
            return msgspec.json.encode({**known, **grown})

        if not needs:
            return
        try:
            update(self._objects, self._name, _LIMIT, change)
        except (OSError, StoreError, TooLarge) as error:
            say(f"the {self._what} that units needed is not remembered: {words_of(error)}")


def hints_of(objects: Objects, arch: str) -> tuple[Hints, Hints]:
    """Return what a store knows of memory, and what it knows of disk."""
    memory = Hints(objects, f"hints-{arch}.json", "memory")
    return memory, Hints(objects, f"disk-hints-{arch}.json", "disk")


def _decode(data: bytes | None) -> dict[str, int]:
    try:
        return decode(_DECODER, data or b"{}", limit=_LIMIT.most)
    except Undecodable:
        return {}
