"""What a store says of its published files: of which record they are."""

from __future__ import annotations

from dag.core.decoding import Undecodable
from dag.core.limits import RECORD
from dag.core.store.layout import publication_name
from dag.core.store.publication import Publication, decode_publication, encode_publication
from dag.io.store.objects import Objects

_HALF = 600.0
"""Seconds after which files are published in the place of somebody who began to and did not end."""


class Publications:
    """The publications of one architecture, and who may write them.

    In a store where others may write at the same time, whoever publishes a unit must have been the
    first to say so.
    """

    def __init__(self, objects: Objects, arch: str, *, is_shared: bool) -> None:
        """Take the objects of the store; it is not shared if its lock guards it."""
        self._objects = objects
        self._arch = arch
        self._is_shared = is_shared
        self._said: dict[str, bytes] = {}
        """What this process has said last, by the names of the objects."""

    def say(self, publication: Publication) -> bool:
        """Write a publication; return False if somebody else publishes the unit just now."""
        name = publication_name(self._arch, publication.name, publication.version)
        data = encode_publication(publication)
        if not self._is_shared:
            self._objects.write(name, data)
            return True
        found, own = self._objects.read(name, RECORD), self._said.pop(name, None)
        if found is None:
            written = own is None and (self._objects.create(name, data) or self._says(name, data))
        elif found.data == data:
            written = True
        elif found.data == own or (
            own is None and not self._is_taken(name, found.data, publication)
        ):
            written = self._objects.replace(name, data, found.version) or self._says(name, data)
        else:
            written = False
        if written:
            self._said[name] = data
        return written

    def delete(self, name: str, version: str) -> None:
        """Let nothing be published of a unit."""
        self._objects.delete(publication_name(self._arch, name, version))

    def is_under_way(self, name: str, version: str) -> bool:
        """Return whether somebody else may just now publish a unit of which nothing is published."""
        found = self._objects.look(publication_name(self._arch, name, version))
        return self._is_shared and found is not None and found.age < _HALF

    def _says(self, name: str, data: bytes) -> bool:
        """Return whether just this stands there, as it does if only the answer to a write was lost."""
        found = self._objects.read(name, RECORD)
        return found is not None and found.data == data

    def _is_taken(self, name: str, data: bytes, wanted: Publication) -> bool:
        """Return whether somebody has begun to publish other files, and may still be at it."""
        try:
            there = decode_publication(data)
        except Undecodable:
            return False
        if there.sizes or (there.key, there.result) == (wanted.key, wanted.result):
            return False
        found = self._objects.look(name)
        return found is not None and found.age < _HALF
