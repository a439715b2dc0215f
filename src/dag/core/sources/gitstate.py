"""What `dag.json` in a repository of the cache says was verified, and whether a step's wish is in it.

The file may come from an image, so from anybody: it is taken in the right shape, or not at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dag.core.sources.checkouts import WHOLE, is_commit, is_hash, is_ref, locate
from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dag.core.sources.checkouts import GitRepository, Want

STATE = "dag.json"
_T = TypeVar("_T")


class Ref(NamedTuple):
    """A name that clones see."""

    at: str
    """The object that it names: of a tag it may be the tag's own."""
    expected: tuple[str, ...]
    """Hashes by which steps may expect it: for a branch, commits in its history."""
    tip: bool = False
    """The remote's branch ended there, too, when it was fetched."""


class Submodule(NamedTuple):
    """A repository that one here needs beside it."""

    path: str
    commit: str


@dataclass(slots=True, kw_only=True)
class VerifiedState:
    """What was verified of a repository."""

    refs: dict[str, Ref] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()
    """The URIs that lead to it, as they are written."""
    submodules: frozenset[Submodule] = frozenset()
    picks: frozenset[str] = frozenset()
    """`BRANCH/COMMIT`, with an empty branch for a commit that a clone has anyway."""
    depth: int | None = None
    """How much history was fetched so far; None: nothing was."""
    uri: str = ""
    lacks: frozenset[str] = frozenset()
    """Refs that definitions want and that are not here: builds ask the network for all of it."""

    def holds(self, want: Want) -> bool:
        """Say whether what a step wants was verified."""
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
        """Name the refs that steps want, and that would not be found here."""
        refs = {want.ref for want in repository.wants if not self.holds(want)}
        return frozenset(refs | set(repository.unpinned))

    def behind(self, other: VerifiedState) -> list[str]:
        """Say what the other has that this one lacks."""
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
        """Give the URIs that lead to the repository that is kept at `path`, and to no other."""
        return [base for base in sorted(self.bases) if _leads(base, path)]

    def text(self) -> str:
        """Write it as `dag.json` has it."""
        document: dict[str, Any] = {
            "refs": {name: _document(name, ref) for name, ref in self.refs.items()},
            "bases": sorted(self.bases),
            "submodules": [item._asdict() for item in sorted(self.submodules)],
            "picks": sorted(self.picks),
            "uri": self.uri,
            "lacks": sorted(self.lacks),
        }
        if self.depth is not None:
            document["depth"] = self.depth
        return json.dumps(document, indent=1, sort_keys=True) + "\n"


def parse(data: bytes) -> VerifiedState:
    """Read what `dag.json` has.

    Raises:
        ValueError: it is something else.

    """
    try:
        document = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None
    found = _as(dict, document)
    depth = found.get("depth")
    if depth is not None and (type(depth) is not int or depth < WHOLE):
        raise ValueError(f"{depth!r} is no depth")
    return VerifiedState(
        refs={name: _ref(name, value) for name, value in _as(dict, found.get("refs", {})).items()},
        bases=frozenset(_texts(found.get("bases", []))),
        submodules=frozenset(map(_submodule, _as(list, found.get("submodules", [])))),
        picks=frozenset(map(_pick, _texts(found.get("picks", [])))),
        depth=depth,
        uri=_as(str, found.get("uri", "")),
        lacks=frozenset(_texts(found.get("lacks", []))),
    )


def _ref(name: str, value: object) -> Ref:
    entry = _as(dict, value)
    at, expected = _commit(entry.get("at")), tuple(map(_commit, _texts(entry.get("expected"))))
    if not is_ref(name):
        raise ValueError(f"{name!r} is no name of a tag or branch")
    if not name.startswith("refs/tags/") and "tip" not in entry:
        # Written when commits that a branch had left behind were still listed.
        expected = (at,) if at in expected else ()
    return Ref(at, expected, _as(bool, entry.get("tip", False)))


def _document(name: str, ref: Ref) -> dict[str, Any]:
    document: dict[str, Any] = {"at": ref.at, "expected": list(ref.expected)}
    return document if name.startswith("refs/tags/") else document | {"tip": ref.tip}


def _pick(text: str) -> str:
    branch, _, commit = text.rpartition("/")
    if not is_hash(commit) or (branch and not is_ref(f"refs/heads/{branch}")):
        raise ValueError(f"{text[:80]!r} is no cherry-pick")
    return text


def _submodule(value: object) -> Submodule:
    entry = _as(dict, value)
    return Submodule(_as(str, entry.get("path")), _commit(entry.get("commit")))


def _commit(value: object) -> str:
    text = _as(str, value)
    if not is_commit(text):
        raise ValueError(f"{text[:80]!r} is no commit")
    return text


def _texts(value: object) -> Iterable[str]:
    return [_as(str, item) for item in _as(list, value)]


def _as(kind: type[_T], value: object) -> _T:
    if not isinstance(value, kind):
        raise ValueError(f"{str(value)[:80]!r} where a {kind.__name__} should be")  # noqa: TRY004
    return value


def _leads(base: str, path: str) -> bool:
    try:
        return locate(base) == (path, base)
    except UsageError:
        return False
