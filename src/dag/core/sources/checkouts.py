"""`git-checkout` steps → bare repositories that can stand in for the real ones, offline.

One repository of the cache stands for one URI, because `insteadOf` can tell nothing but URIs apart:
all steps that name it share it, and it holds no more than the refs that they ask for. How much of
the history comes with a ref is what melange's own step would fetch
(https://github.com/chainguard-dev/melange/blob/v0.56.0/pkg/build/pipelines/git-checkout.yaml).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from dag.core.sources.downloads import SourceProblem, StepPlace
from dag.core.sources.remotes import locate
from dag.core.web import redact
from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dag.core.package.model import Checkout

WHOLE = 0
"""The depth that means all of the history."""
LOOSE = "refs/heads/dag/"
"""The names of commits that have to be in a clone, and that no tag or branch leads to."""

_UNPINNED = (
    "there is no expected-commit, so it is not cached: a build asks the network for all of the"
    " repository"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HASH = re.compile(r"[0-9a-f]{7,64}")
# https://git-scm.com/docs/git-check-ref-format
_NO_REF = re.compile(r"^[-/]|\.\.|//|@\{|[\x00-\x20~^:?*\[\\\x7f]|(?:\.lock|[./])(?:/|$)|(?:^|/)\.")


@dataclass(frozen=True, slots=True)
class Pick:
    """A commit of a step's `cherry-picks`."""

    branch: str
    """The branch that has it; if empty, the commit has to be in what was cloned."""
    commit: str

    def __str__(self) -> str:
        return f"{self.branch}/{self.commit}"


@dataclass(frozen=True, slots=True)
class Want:
    """A commit that a step, or several that agree, want of a repository."""

    kind: Literal["tag", "branch", "head", "commit"]
    """A submodule wants a commit, wherever it is."""
    name: str
    """The name of the tag or branch; else empty."""
    commit: str
    """The hash of the commit: 40 hex digits, checked."""
    depth: int
    """How many commits of history are wanted, or `WHOLE`."""
    submodules: bool = False
    tip: bool = False
    """Whether the step says itself that the branch must end at the commit."""
    picks: tuple[Pick, ...] = ()
    places: tuple[StepPlace, ...] = field(default=(), compare=False)

    @property
    def ref(self) -> str:
        """Return the name under which the cache has it: the remote's, if the remote has one."""
        if self.kind == "commit":
            return f"{LOOSE}{self.commit}"
        return {"tag": "refs/tags/", "branch": "refs/heads/", "head": "HEAD"}[self.kind] + self.name

    @property
    def exact(self) -> bool:
        """Return whether a branch must end at the commit.

        Without history melange cannot go back to it.
        """
        return self.kind in ("branch", "head") and (self.tip or self.depth != WHOLE)

    def __str__(self) -> str:
        if self.kind == "commit":
            return f"commit {self.commit}"
        return f"{self.kind} {self.name}" if self.name else "the default branch"


@dataclass(frozen=True, slots=True)
class GitRepository:
    """A repository of the cache and what it must hold."""

    path: str
    """`HOST/ORG/REPO`, checked: safe below the cache's `git` directory."""
    uri: str
    """The URI that it comes from."""
    wants: tuple[Want, ...]
    bases: tuple[str, ...]
    """All the ways in which steps write the URI."""
    unpinned: tuple[str, ...] = ()
    """The refs that steps ask for without saying which commit."""

    @property
    def host(self) -> str:
        """Return the host that it comes from: limits count by it."""
        return self.path.partition("/")[0]

    @property
    def uris(self) -> tuple[str, ...]:
        """Return where to ask for it, one after the other: the first URI of each protocol."""
        found = {locate(self.uri).protocol: self.uri}
        for base in self.bases:
            found.setdefault(locate(base).protocol, base)
        return tuple(found.values())

    @property
    def depth(self) -> int:
        """Return how much history the repository needs: one depth, as git cuts commits, not refs."""
        depths = {want.depth for want in self.wants}
        return WHOLE if WHOLE in depths else max(depths, default=1)


@dataclass(frozen=True, slots=True)
class WantedRepositories:
    """The repositories that steps check out, and the steps that cannot be served."""

    repositories: list[GitRepository]
    """One that only unpinned steps name wants nothing."""
    problems: list[SourceProblem]
    """The steps that are wrong."""
    unpinned: list[SourceProblem]
    """The steps without `expected-commit`: melange builds what is there at the time, so there is
    nothing that a cache could be verified against."""


def repositories_of(steps: Iterable[Checkout], *, credentials: bool = False) -> WantedRepositories:
    """Check the steps and bring those of one repository together.

    Those that need a login are wrong, unless the user's `credentials` may be used.
    """
    found: dict[str, GitRepository] = {}
    problems: list[SourceProblem] = []
    unpinned: list[SourceProblem] = []
    for step in steps:
        place = StepPlace(step.file, step.line)
        shown = redact(step.repository)
        try:
            remote = locate(step.repository)
            remote.require(credentials=credentials)
            want = _want(step, place) if step.expected_commit else None
        except UsageError as error:
            problems.append(SourceProblem(place, shown, error.message))
            continue
        path, base = remote.path, remote.base
        known = found.get(path) or GitRepository(path, step.repository, (), ())
        bases = known.bases if base in known.bases else (*known.bases, base)
        wants, asked = known.wants, known.unpinned
        if want is not None:
            wants = _merge(wants, want)
        else:
            asked = tuple(dict.fromkeys((*asked, _ref(step))))
            unpinned.append(SourceProblem(place, shown, _UNPINNED))
        found[path] = GitRepository(path, known.uri, wants, bases, asked)
    return WantedRepositories(list(found.values()), problems, unpinned)


def check_commit(text: str) -> str:
    """Return a commit's full hash, once it is checked.

    Raises:
        UsageError: it is not.

    """
    if _SHA256.fullmatch(text):
        raise UsageError(
            "expected-commit has 64 digits: a repository with SHA-256 names cannot be cached,"
            " a build has to ask the network"
        )
    if not is_commit(text):
        raise UsageError(f"expected-commit must be 40 lower-case hex digits, not {text[:80]!r}")
    return text


def is_commit(text: str) -> bool:
    """Return whether `text` is the full hash of a commit."""
    return _COMMIT.fullmatch(text) is not None


def is_hash(text: str) -> bool:
    """Return whether `text` may be the hash of a commit, in short or in full."""
    return _HASH.fullmatch(text) is not None


def is_ref(name: str) -> bool:
    """Return whether `name` is one that the cache gives: of a tag, of a branch, or HEAD."""
    for kind in ("refs/heads/", "refs/tags/"):
        if name.startswith(kind):
            rest = name.removeprefix(kind)
            return bool(rest) and not _NO_REF.search(rest)
    return name == "HEAD"


def _want(step: Checkout, place: StepPlace) -> Want:
    if step.tag and step.branch:
        raise UsageError(f"the step has both a branch ({step.branch}) and a tag ({step.tag})")
    name = step.tag or step.branch
    if name and (_NO_REF.search(name) or name == "@"):
        raise UsageError(f"{name[:80]!r} is no name of a tag or branch")
    if step.is_branch_tip and not step.branch:
        raise UsageError("expected-commit-is-branch-tip goes only with a branch")
    commit = check_commit(step.expected_commit)
    kind: Literal["tag", "branch", "head"] = (
        "tag" if step.tag else "branch" if step.branch else "head"
    )
    return Want(
        kind,
        name,
        commit,
        _depth(step),
        step.recurse_submodules,
        step.is_branch_tip,
        tuple(parse_picks(step.cherry_picks)),
        (place,),
    )


def _ref(step: Checkout) -> str:
    if step.tag or step.branch:
        return f"refs/tags/{step.tag}" if step.tag else f"refs/heads/{step.branch}"
    return "HEAD"


def _depth(step: Checkout) -> int:
    if step.depth in ("", "unset"):
        return WHOLE if step.branch and not step.is_branch_tip else 1
    if step.depth == "-1":
        return WHOLE
    if not re.fullmatch(r"[1-9][0-9]{0,8}", step.depth):
        raise UsageError(f"depth must be -1 or a number from 1, not {step.depth[:20]!r}")
    return int(step.depth)


def parse_picks(text: str) -> list[Pick]:
    """Read `cherry-picks`: lines of `[branch/]commit: comment`.

    Raises:
        UsageError: a line is something else.

    """
    found: list[Pick] = []
    for line in text.splitlines():
        what, colon, comment = line.partition("#")[0].strip().partition(":")
        if not what and not colon:
            continue
        branch, _, commit = what.rpartition("/")
        if not comment.strip() or not is_hash(commit):
            raise UsageError(f"cherry-picks has a line that is no '[branch/]commit: why': {line!r}")
        if branch and _NO_REF.search(branch):
            raise UsageError(f"{branch[:80]!r} is no name of a branch")
        found.append(Pick(branch, commit))
    return found


def _merge(wants: tuple[Want, ...], new: Want) -> tuple[Want, ...]:
    for index, known in enumerate(wants):
        if (known.ref, known.commit, known.exact) == (new.ref, new.commit, new.exact):
            both = Want(
                known.kind,
                known.name,
                known.commit,
                WHOLE if WHOLE in (known.depth, new.depth) else max(known.depth, new.depth),
                known.submodules or new.submodules,
                known.tip or new.tip,
                tuple(dict.fromkeys(known.picks + new.picks)),
                known.places + new.places,
            )
            return (*wants[:index], both, *wants[index + 1 :])
    return (*wants, new)
