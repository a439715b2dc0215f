"""The `dag.json` of a repository in the cache: what was verified, and whether steps find it there.

The file may come from an image, and so from anybody: it is read in the right shape, or not at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from dag.core.decoding import Undecodable, decode
from dag.core.sources.checkouts import WHOLE, is_hash, is_ref
from dag.core.sources.remotes import locate
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.core.sources.checkouts import GitRepository, Want

STATE_FILE = "dag.json"
MAX_BYTES = 64 << 20
"""The size of the largest state that is read."""

CommitId = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]


@dataclass(frozen=True, slots=True)
class Ref:
    """A name that clones see."""

    at: str
    """The object that it names; for a tag, that may be the tag's own object."""
    expected: tuple[str, ...]
    """The hashes by which steps may expect it; for a branch, commits in its history."""
    tip: bool = False
    """Whether the remote's branch ended there, too, when it was fetched."""


@dataclass(frozen=True, slots=True, order=True)
class Submodule:
    """A repository that this one needs beside it."""

    path: str
    commit: CommitId


@dataclass(slots=True, kw_only=True)
class VerifiedState:
    """The refs, history and submodules of a repository that were verified."""

    refs: dict[str, Ref] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()
    """The URIs that lead to it, as steps write them."""
    submodules: frozenset[Submodule] = frozenset()
    picks: frozenset[str] = frozenset()
    """`BRANCH/COMMIT`, with an empty branch for a commit that a clone has anyway."""
    depth: int | None = None
    """How much history was fetched so far; None if nothing was."""
    uri: str = ""
    lacks: frozenset[str] = frozenset()
    """Refs that definitions want and that are not here; because of them builds ask the network."""

    def holds(self, want: Want) -> bool:
        """Return whether everything that a step wants was verified."""
        known = self.refs.get(want.ref)
        return (
            known is not None
            and want.commit in known.expected
            and (not want.exact or (known.tip and known.at == want.commit))
            and self._reaches(want.depth)
            and all(str(pick) in self.picks for pick in want.picks)
        )

    def _reaches(self, depth: int) -> bool:
        return self.depth == WHOLE or (self.depth is not None and 0 < depth <= self.depth)

    def missing(self, repository: GitRepository) -> frozenset[str]:
        """Return the refs that steps want and would not find here."""
        refs = {want.ref for want in repository.wants if not self.holds(want)}
        return frozenset(refs | set(repository.unpinned))

    def behind(self, other: VerifiedState) -> list[str]:
        """Return, in words, what the other has and this one lacks."""
        lacking = [
            name
            for name, ref in other.refs.items()
            if (known := self.refs.get(name)) is None
            or not set(ref.expected) <= set(known.expected)
            or (ref.tip and not (known.tip and known.at == ref.at))
        ]
        lacking += [f"cherry-pick {pick}" for pick in other.picks - self.picks]
        if other.depth is not None and not self._reaches(other.depth):
            lacking.append("history")
        return sorted(lacking)

    def bases_of(self, path: str) -> list[str]:
        """Return the URIs that lead to the repository at `path`, and to no other."""
        return [base for base in sorted(self.bases) if _leads(base, path)]

    def text(self) -> str:
        """Return the state as the text of `dag.json`."""
        document: dict[str, Any] = {
            "refs": {
                name: {"at": ref.at, "expected": ref.expected}
                | ({} if name.startswith("refs/tags/") else {"tip": ref.tip})
                for name, ref in self.refs.items()
            },
            "bases": sorted(self.bases),
            "submodules": msgspec.to_builtins(sorted(self.submodules)),
            "picks": sorted(self.picks),
            "uri": self.uri,
            "lacks": sorted(self.lacks),
        }
        if self.depth is not None:
            document["depth"] = self.depth
        return json.dumps(document, indent=1, sort_keys=True) + "\n"


class _RefDocument(Struct):
    at: CommitId
    expected: tuple[CommitId, ...]
    tip: bool | None = None

    def ref(self, name: str) -> Ref:
        if not is_ref(name):
            raise Undecodable(f"{name[:80]!r} is not the name of a tag or branch")
        expected = self.expected
        if not name.startswith("refs/tags/") and self.tip is None:
            # Written when commits that a branch had left behind were still listed.
            expected = (self.at,) if self.at in expected else ()
        return Ref(self.at, expected, tip=bool(self.tip))


class _Document(Struct):
    """The file's own shape. It may lack whatever it had nothing to say about."""

    refs: dict[str, _RefDocument] = {}
    bases: frozenset[str] = frozenset()
    submodules: frozenset[Submodule] = frozenset()
    picks: frozenset[str] = frozenset()
    depth: Annotated[int, Meta(ge=WHOLE)] | None = None
    uri: str = ""
    lacks: frozenset[str] = frozenset()


_DECODER = msgspec.json.Decoder(_Document)


def parse(data: bytes) -> VerifiedState:
    """Return the state that `dag.json` has.

    Raises:
        Undecodable: the file is something else.

    """
    found = decode(_DECODER, data, limit=MAX_BYTES)
    for pick in found.picks:
        _check_pick(pick)
    return VerifiedState(
        refs={name: one.ref(name) for name, one in found.refs.items()},
        bases=found.bases,
        submodules=found.submodules,
        picks=found.picks,
        depth=found.depth,
        uri=found.uri,
        lacks=found.lacks,
    )


def _check_pick(text: str) -> None:
    branch, _, commit = text.rpartition("/")
    if not is_hash(commit) or (branch and not is_ref(f"refs/heads/{branch}")):
        raise Undecodable(f"{text[:80]!r} is not a cherry-pick")


def _leads(base: str, path: str) -> bool:
    try:
        remote = locate(base)
    except UsageError:
        return False
    return (remote.path, remote.base) == (path, base)
