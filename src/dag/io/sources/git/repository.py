"""A bare repository of the cache: adds to it what steps want, once that is verified."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dag.core.sources.checkouts import (
    LOOSE,
    WHOLE,
    GitRepository,
    Pick,
    Want,
    is_commit,
)
from dag.core.sources.gitstate import Ref, Submodule, VerifiedState
from dag.core.sources.remotes import locate
from dag.errors import UsageError
from dag.io.sources.git.files import NOWHERE, RepositoryFiles
from dag.io.sources.git.process import BLOCK, GitFailed
from dag.io.sources.git.submodules import Link

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from dag.io.sources.git.process import Git
    from dag.io.sources.records import Records

_INCOMING = "refs/dag/incoming"
_ALL = "refs/dag/all/"
_UNADVERTISED = re.compile(r"unadvertised object|not our ref")
_AS_OF_A_PAGE = re.compile(r"find remote ref|dumb http transport|inflate: data stream error")
_CONFLICT = re.compile(r"cannot lock ref|conflict")
_REF = re.compile(r"refs/(?:heads|tags)/[^\s':;]+")


class Unverified(Exception):  # becomes a SourceProblem
    """The remote has something else than the step expects."""


class BareRepository:
    """A bare repository, for whoever holds its lock."""

    def __init__(self, git: Git, records: Records, root: Path) -> None:
        """Take the repository, and the cache's directory, below which files are recorded."""
        self.git = git
        self._files = RepositoryFiles(git.directory, records, root)
        self.state = VerifiedState()
        """The refs and their commits that were verified."""
        self._asked: set[str] = set()

    @property
    def _known_picks(self) -> list[Pick]:
        parts = [text.rpartition("/") for text in sorted(self.state.picks)]
        return [Pick(branch, commit) for branch, _, commit in parts]

    def ask(self, wants: Collection[Want]) -> None:
        """Note what steps want: refs that are none of theirs may go."""
        self._asked = {want.ref for want in wants}
        self._asked |= {f"refs/heads/{pick.branch}" for want in wants for pick in want.picks}

    async def open(self, *, force: bool) -> bool:
        """Make the repository if it is not there, and return whether it is sound.

        It is not if it has anything that git might obey. Its objects are read again if a file is
        not as it was when they were last verified, or by `force`; the small files that git stumbles
        over, always.
        """
        self.state = VerifiedState()
        if not self._files.lay():
            return False
        try:
            self.state = self._files.read_state()
            if not self._files.are_readable(self.state.refs):
                return False
        except (OSError, ValueError):
            return False
        self._files.remove_unfinished()
        if force or not self._files.are_vouched_for():
            return await self._is_sound()
        return True

    def has(self, want: Want) -> bool:
        """Return whether the repository holds what a step wants, verified."""
        if not self.state.holds(want):
            return False
        return self._files.resolve(want.ref) == self.state.refs[want.ref].at

    async def fetch(self, uri: str, wants: Sequence[Want], *, depth: int) -> dict[Want, str]:
        """Fetch what steps want of one ref, and name it if it is what they expect.

        `depth` is the repository's. Returns what is wrong, by want.

        Raises:
            GitFailed: the remote cannot be reached, or lacks it.

        """
        depth = WHOLE if WHOLE in (depth, self.state.depth) else max(depth, self.state.depth or 0)
        try:
            if wants[0].kind == "commit":
                depth = await self._download_commit(uri, wants[0].commit, depth)
            else:
                await self._download(uri, f"+{wants[0].ref}:{_INCOMING}", depth=depth)
            wrong = await self._take(wants)
            self.state.depth = depth
            for want in wants:
                for pick in want.picks if want not in wrong else ():
                    try:
                        await self._fetch_pick(uri, want, pick)
                    except Unverified as error:
                        wrong[want] = str(error)
                    else:
                        self.state.picks |= {str(pick)}
        finally:
            await self.git.run("update-ref", "-d", _INCOMING)
        return wrong

    async def forget(self, want: Want) -> None:
        """Remove the name of what could not be verified, should it have come with a history."""
        if want.kind == "tag" and want.ref not in self.state.refs:
            await self.git.run("update-ref", "-d", want.ref)

    def save(self, repository: GitRepository, links: Sequence[Link]) -> int:
        """Write down what is verified, and return the size of the packs in bytes."""
        size = self._files.record()
        state = self.state
        state.submodules |= {found for found in map(_submodule_of, links) if found}
        state.bases |= set(repository.bases)
        state.uri = repository.uri
        self._files.write_state(state)
        return size

    async def _take(self, wants: Sequence[Want]) -> dict[Want, str]:
        """Name what has come, if it is what steps expect; return why it is not, by want."""
        got = await self.git.line("rev-parse", "--verify", f"{_INCOMING}^{{commit}}")
        kind, ref = wants[0].kind, wants[0].ref
        if kind == "commit":
            if got != wants[0].commit:
                return dict.fromkeys(wants, f"got {got}, expected {wants[0].commit}")
            await self._name(ref, Ref(got, (got,)))
            if self._files.resolve("HEAD") == NOWHERE:
                # A clone wants something to begin with, before it goes to the submodule's commit.
                await self.git.run("update-ref", "--no-deref", "HEAD", got)
            return {}
        if kind == "tag":
            # melange takes the hash of an annotated tag, too.
            tagged = await self.git.line("rev-parse", "--verify", _INCOMING)
            right = {got, tagged}
            if any(want.commit in right for want in wants):
                await self._name(ref, Ref(tagged, tuple(sorted(right))))
            return {
                want: f"{want} is {got}, expected {want.commit}"
                for want in wants
                if want.commit not in right
            }
        wrong = {want: await self._why_not_on_branch(want, got) for want in wants}
        if inside := [want.commit for want in wants if wrong[want] is None]:
            await self._settle(ref, got, inside)
        return {want: message for want, message in wrong.items() if message is not None}

    async def _why_not_on_branch(self, want: Want, tip: str) -> str | None:
        """Return why melange, too, would not take the commit from a branch that ends at `tip`."""
        if want.commit == tip:
            return None
        if want.exact:
            deeper = "" if want.tip else " (with depth: -1 melange would go back to it)"
            return f"{want} is {tip}, expected {want.commit}{deeper}"
        if await self._contains(tip, want.commit):
            return None
        return f"expected {want.commit} is not in {want}, whose tip is {tip}"

    async def _settle(self, ref: str, tip: str, commits: Sequence[str]) -> None:
        """Let a branch end where it has all that is expected of it, now and by earlier runs."""
        known = self.state.refs.get(ref)
        branch = ref.removeprefix("refs/heads/")
        others = [pick.commit for pick in self._known_picks if pick.branch == branch]
        kept = set(commits)
        for name in (*(known.expected if known else ()), *others):
            commit = await self._commit(name)
            if commit is not None and await self._contains(tip, commit):
                kept.add(commit)
        tops = (await self.git.line("merge-base", "--independent", *sorted(kept))).split()
        # No further than steps need it, unless they need what only the remote's branch joins.
        at = tops[0] if len(tops) == 1 else tip
        still = known is not None and known.at == at and known.tip
        await self._name(ref, Ref(at, tuple(sorted(kept)), tip=still or at == tip))

    async def _fetch_pick(self, uri: str, want: Want, pick: Pick) -> None:
        if pick.branch:
            ref = f"refs/heads/{pick.branch}"
            await self._download(uri, f"+{ref}:{_INCOMING}", depth=WHOLE)
            self.state.depth = WHOLE
            tip = await self.git.line("rev-parse", "--verify", f"{_INCOMING}^{{commit}}")
            commit = await self._commit(pick.commit)
            if commit is None or not await self._contains(tip, commit):
                raise Unverified(f"cherry-pick {pick.commit} is not in branch {pick.branch}")
            if ref in self.state.refs:
                await self._settle(ref, tip, [commit])
            else:
                await self._run_making_way("update-ref", ref, tip)
            return
        # melange picks it from what a clone has, which may be another branch of the remote.
        commit = await self._commit(pick.commit)
        if commit is None and is_commit(pick.commit):
            self.state.depth = await self._download_commit(uri, pick.commit, WHOLE)
            commit = pick.commit
        if commit is None:
            raise Unverified(
                f"cherry-pick {pick.commit} is not in {want}: write all of its 40 digits,"
                f" or the branch that has it, as BRANCH/{pick.commit}"
            )
        known = self.state.refs.get(want.ref)
        if known is None or not await self._contains(known.at, commit):
            await self.git.run("update-ref", f"{LOOSE}{commit}", commit)

    async def _contains(self, tip: str, commit: str) -> bool:
        return await self.git.succeeds("merge-base", "--is-ancestor", commit, tip)

    async def _commit(self, name: str) -> str | None:
        """Return the full hash of a commit that is here; the given one may be short."""
        try:
            return await self.git.line("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except GitFailed:
            return None

    async def _download_commit(self, uri: str, commit: str, depth: int) -> int:
        """Bring a commit that no ref need lead to at once; return the depth that it came with.

        Servers that speak only git's older protocol give nothing but what their refs are, so all that
        these have is asked for, as `git submodule update` does.
        """
        try:
            await self._download(uri, f"+{commit}:{_INCOMING}", depth=depth)
        except GitFailed as error:
            if not _UNADVERTISED.search(str(error)):
                raise
        else:
            return depth
        try:
            refspecs = [f"+refs/{kind}/*:{_ALL}{kind}/*" for kind in ("heads", "tags")]
            await self._download(uri, *refspecs, depth=WHOLE)
            if await self._commit(commit) is None:
                raise GitFailed(f"no branch or tag of it has the commit {commit}", heals=False)
            await self.git.run("update-ref", _INCOMING, commit)
        finally:
            listed = (await self.git.run("for-each-ref", "--format=%(refname)", _ALL)).decode()
            orders = "".join(f"delete {name}\n" for name in listed.splitlines())
            await self.git.run("update-ref", "--stdin", stdin=orders.encode())
        return WHOLE

    async def _download(self, uri: str, *refspecs: str, depth: int) -> None:
        shallow = (self.git.directory / "shallow").exists()
        if depth == WHOLE:
            # Tags that lie in the history come along, as in a clone: `git describe` needs them.
            options = ["--unshallow"] if shallow else []
        else:
            options = ["--no-tags", f"--depth={depth}"]
        common = ["fetch", "--quiet", "--no-write-fetch-head", "--no-auto-gc"]
        try:
            await self._run_making_way(*common, *options, "--", uri, *refspecs)
        except GitFailed as error:
            # The kernel stops a file at its limit, of which git says only that something broke.
            if self._files.remove_unfinished() == self.git.limits.blocks * BLOCK:
                raise GitFailed("it has more bytes than --max-size", heals=False) from None
            if _AS_OF_A_PAGE.search(str(error)):
                await self.git.require_no_page(uri)
            # Old servers know no depth: then it is everything, as a person would do it.
            if depth == WHOLE or "does not support shallow" not in str(error):
                raise
            await self.git.run(*common, "--no-tags", "--", uri, *refspecs)

    async def _name(self, name: str, ref: Ref) -> None:
        # A default branch is HEAD itself, detached: a step may want the branch elsewhere.
        await self._run_making_way("update-ref", "--no-deref", name, ref.at)
        self.state.refs[name] = ref

    async def _run_making_way(self, *arguments: str) -> None:
        """Run a command that makes refs; those that no step asks for go if they are in the way.

        The remote may have `rel/1.0` where it had `rel`, and no repository has both.
        """
        while True:
            try:
                await self.git.run(*arguments)
            except GitFailed as error:
                if not (gone := await self._refs_in_the_way(str(error))):
                    raise
                orders = "".join(f"delete {name}\n" for name in gone)
                await self.git.run("update-ref", "--stdin", stdin=orders.encode())
                for name in gone:
                    self.state.refs.pop(name, None)
                branches = {name.removeprefix("refs/heads/") for name in gone}
                self.state.picks -= {
                    str(pick) for pick in self._known_picks if pick.branch in branches
                }
            else:
                return

    async def _refs_in_the_way(self, message: str) -> list[str]:
        if not _CONFLICT.search(message):
            return []
        meant = _REF.findall(message)
        format_ = "--format=%(refname)"
        listed = await self.git.run("for-each-ref", format_, "refs/heads", "refs/tags")
        return [
            name
            for name in listed.decode(errors="replace").splitlines()
            if name not in self._asked
            and any(f"{name}/".startswith(f"{one}/") or one.startswith(f"{name}/") for one in meant)
        ]

    async def _is_sound(self) -> bool:
        # Not fsck, which also blames old commits for their form: what counts is that every object
        # hashes to its name, and that none is missing.
        packs = sorted((self.git.directory / "objects" / "pack").glob("*.idx"))
        try:
            if packs:
                await self.git.run("verify-pack", *(str(path) for path in packs))
            await self.git.run("rev-list", "--objects", "--all", "--quiet")
            for name, known in self.state.refs.items():
                if await self.git.line("rev-parse", "--verify", name) != known.at:
                    return False
        except GitFailed:
            return False
        return await self._is_as_it_says()

    async def _is_as_it_says(self) -> bool:
        """Return whether each ref leads to the commits that it is said to be verified for."""
        for name, known in self.state.refs.items():
            peeled = await self._commit(known.at)
            for commit in known.expected:
                if commit in (peeled, known.at):
                    continue
                if name.startswith("refs/tags/") or not await self._contains(known.at, commit):
                    return False
        return True


def _submodule_of(link: Link) -> Submodule | None:
    try:
        return Submodule(locate(link.uri).path, link.commit)
    except UsageError:
        return None
