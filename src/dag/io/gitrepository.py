"""One bare repository of the cache: what it holds, what is added to it, and whether that is right."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dag.core.checkouts import WHOLE, Repository, Want, check_commit, locate, submodule_uri
from dag.errors import UsageError
from dag.io.gitprocess import GitFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dag.io.cache import Records
    from dag.io.gitprocess import Git

_STATE = "dag.json"
_INCOMING = "refs/dag/incoming"
_MAX_GITMODULES = 1 << 20
_NONE = "dag-none"
"""The branch, which does not exist, that HEAD names until something wants it."""


class Unverified(Exception):  # becomes a Problem
    """What the remote has is not what the step expects."""


@dataclass(frozen=True, slots=True)
class Link:
    """A submodule: where it lies in its parent, where it comes from, which commit it must be."""

    path: str
    uri: str
    commit: str


class BareRepository:
    """A repository, for whoever holds its lock."""

    def __init__(self, git: Git, records: Records, root: Path) -> None:
        """`root` is the cache's directory, below which files are recorded as verified."""
        self._git = git
        self._records = records
        self._root = root
        self._state: dict[str, Any] = {}

    @property
    def depth(self) -> int | None:
        """How much history was fetched so far; None: nothing was."""
        depth = self._state.get("depth")
        return depth if isinstance(depth, int) else None

    @property
    def refs(self) -> list[str]:
        """The names that were given to what was verified."""
        return sorted(self._state["refs"])

    async def open(self, *, force: bool) -> bool:
        """Make the repository if it is not there; say whether its objects are sound.

        They are read again if a file is not as it was when they were last verified, or by `force`.
        """
        directory = self._git.directory
        if not (directory / "HEAD").exists():
            directory.parent.mkdir(parents=True, exist_ok=True)
            await self._git.run(
                "init", "--bare", "--quiet", "--template=", f"--initial-branch={_NONE}"
            )
        with suppress(FileNotFoundError, ValueError):
            state = json.loads((directory / _STATE).read_bytes())
            if isinstance(state, dict) and isinstance(state.get("refs"), dict):
                self._state = state
        self._state.setdefault("refs", {})
        self._clear()
        if force or not all(self._vouched(path) for path in self._files()):
            return await self._sound()
        return True

    def has(self, want: Want) -> bool:
        """Say whether the repository holds what a step wants, verified."""
        known = self._state["refs"].get(_local(want))
        picked = self._state.get("picks", ())
        return (
            known is not None
            and self._resolve(_local(want)) == known["at"]
            and want.commit in known["expected"]
            and (self.depth == WHOLE or 0 < want.depth <= (self.depth or 0))
            and all(f"{pick.branch}/{pick.commit}" in picked for pick in want.picks)
        )

    async def fetch(self, uri: str, want: Want, *, depth: int, tip: bool) -> None:
        """Fetch what a step wants and name it, if it is what the step expects.

        `depth` is the repository's. `tip`: the branch stays where the remote has it, for other
        steps expect other commits of it.

        Raises:
            GitFailed: the remote cannot be reached, or lacks it.
            Unverified: it is another commit.

        """
        depth = WHOLE if WHOLE in (depth, self.depth) else max(depth, self.depth or 0)
        try:
            if want.kind == "head" and want.name:
                await self._fetch_commit(uri, want, depth)
            else:
                await self._fetch_ref(uri, want, depth, tip=tip)
            for pick in want.picks:
                await self._fetch_pick(uri, pick.branch, pick.commit)
        finally:
            await self._git.run("update-ref", "-d", _INCOMING)
        picked = {f"{pick.branch}/{pick.commit}" for pick in want.picks}
        self._state["picks"] = sorted({*self._state.get("picks", ()), *picked})
        self._state["depth"] = WHOLE if want.picks else depth

    async def forget(self, want: Want) -> None:
        """Remove the name of what could not be verified, should it have come with a history."""
        if want.kind == "tag" and _local(want) not in self._state["refs"]:
            await self._git.run("update-ref", "-d", _local(want))

    async def submodules(self, want: Want, uri: str) -> list[Link]:
        """List the submodules of a commit that is here.

        Raises:
            GitFailed: the commit cannot be read.
            Unverified: its list of submodules is nothing that could be read.

        """
        entry = f"{want.commit}:.gitmodules"
        if not await self._git.succeeds("cat-file", "-e", entry):
            return []
        if int(await self._git.line("cat-file", "-s", entry)) > _MAX_GITMODULES:
            raise Unverified(".gitmodules has more than a megabyte")
        listed = await self._git.run("config", "--null", "--blob", entry, "--list")
        modules: dict[str, dict[str, str]] = {}
        for item in listed.decode(errors="replace").split("\0"):
            key, _, value = item.partition("\n")
            section, _, rest = key.partition(".")
            name, _, variable = rest.rpartition(".")
            if section == "submodule":
                modules.setdefault(name, {})[variable] = value
        paths = [module["path"] for module in modules.values() if module.get("path")]
        tree = await self._git.run("ls-tree", "-z", want.commit, "--", *paths) if paths else b""
        links = {}
        for line in tree.decode(errors="replace").split("\0"):
            mode, _, rest = line.partition(" ")
            if mode == "160000":
                commit, _, path = rest.removeprefix("commit ").partition("\t")
                links[path] = commit
        return [
            Link(module["path"], submodule_uri(uri, module.get("url", "")), links[module["path"]])
            for module in modules.values()
            if module.get("path") in links and module.get("update") != "none"
        ]

    def save(self, repository: Repository, links: Sequence[Link]) -> int:
        """Write down what is verified; give the size of the packs in bytes."""
        size = 0
        for path in self._files():
            status = path.stat()
            size += status.st_size
            self._records.add(path.relative_to(self._root).as_posix(), status)
        state = self._state
        submodules = [link for link in map(_link_state, links) if link]
        state["submodules"] = sorted(
            {
                json.dumps(item): item for item in [*state.get("submodules", ()), *submodules]
            }.values(),
            key=lambda item: (item["path"], item["commit"]),
        )
        state["bases"] = sorted({*state.get("bases", ()), *repository.bases})
        state["uri"] = repository.uri
        text = json.dumps(state, indent=1, sort_keys=True) + "\n"
        path = self._git.directory / _STATE
        with suppress(FileNotFoundError):
            if path.read_text() == text:
                return size
        temporary = path.with_suffix(".new")
        temporary.write_text(text)
        temporary.rename(path)
        return size

    async def _fetch_ref(self, uri: str, want: Want, depth: int, *, tip: bool) -> None:
        await self._download(uri, f"+{want.ref}:{_INCOMING}", depth)
        got = await self._git.line("rev-parse", "--verify", f"{_INCOMING}^{{commit}}")
        tagged = await self._git.line("rev-parse", "--verify", _INCOMING)
        # melange takes the hash of an annotated tag, too, and goes back in a branch's history.
        target = tagged if want.kind == "tag" else got
        if want.commit not in (got, tagged if want.kind == "tag" else got):
            if want.kind == "tag" or want.depth != WHOLE:
                deeper = (
                    "" if want.kind == "tag" else " (with depth: -1 melange would go back to it)"
                )
                raise Unverified(f"{want} is {got}, expected {want.commit}{deeper}")
            ancestor = ("merge-base", "--is-ancestor", want.commit, got)
            if not await self._git.succeeds(*ancestor):
                raise Unverified(f"expected {want.commit} is not in {want}, whose tip is {got}")
            target = got if tip else want.commit
        await self._name(_local(want), target, want)

    async def _fetch_commit(self, uri: str, want: Want, depth: int) -> None:
        await self._download(uri, f"+{want.commit}:{_INCOMING}", depth)
        got = await self._git.line("rev-parse", "--verify", f"{_INCOMING}^{{commit}}")
        if got != want.commit:
            raise Unverified(f"got {got}, expected {want.commit}")
        await self._name(_local(want), got, want)
        if (self._git.directory / "HEAD").read_text().strip() == f"ref: refs/heads/{_NONE}":
            # A clone wants something to begin with, before it goes to the submodule's commit.
            await self._git.run("update-ref", "--no-deref", "HEAD", got)

    async def _fetch_pick(self, uri: str, branch: str, commit: str) -> None:
        source = f"refs/heads/{branch}" if branch else commit
        await self._download(uri, f"+{source}:{_INCOMING}", WHOLE)
        if not await self._git.succeeds("merge-base", "--is-ancestor", commit, _INCOMING):
            raise Unverified(f"cherry-pick {commit} is not in branch {branch}")
        got = await self._git.line("rev-parse", "--verify", f"{_INCOMING}^{{commit}}")
        local = f"refs/heads/{branch or f'dag/{commit}'}"
        if local not in self._state["refs"]:
            await self._git.run("update-ref", local, got)

    async def _download(self, uri: str, refspec: str, depth: int) -> None:
        shallow = (self._git.directory / "shallow").exists()
        if depth == WHOLE:
            # Tags that lie in the history come along, as in a clone: `git describe` needs them.
            options = ["--unshallow"] if shallow else []
        else:
            options = ["--no-tags", f"--depth={depth}"]
        common = ["fetch", "--quiet", "--no-write-fetch-head", "--no-auto-gc"]
        try:
            await self._git.run(*common, *options, "--", uri, refspec)
        except GitFailed as error:
            # The kernel stops a file at its limit, of which git says only that something broke.
            if self._clear() == self._git.limits.max_size:
                raise Unverified("has more bytes than --max-size") from None
            # Old servers know no depth: then it is everything, as a person would do it.
            if depth == WHOLE or "does not support shallow" not in str(error):
                raise
            await self._git.run(*common, "--no-tags", "--", uri, refspec)

    async def _name(self, ref: str, target: str, want: Want) -> None:
        # A default branch is HEAD itself, detached: a step may want the branch elsewhere.
        await self._git.run("update-ref", "--no-deref", ref, target)
        known = self._state["refs"].get(_local(want), {"expected": []})
        expected = (
            sorted({*known["expected"], want.commit}) if want.kind == "branch" else [want.commit]
        )
        self._state["refs"][_local(want)] = {"at": target, "expected": expected}

    def _resolve(self, ref: str) -> str | None:
        """Read a ref's file: the same answer as git's, without a process for each repository."""
        with suppress(OSError):
            value = (self._git.directory / ref).read_text().strip()
            return self._resolve(value[5:]) if value.startswith("ref: refs/") else value
        with suppress(OSError):
            for line in (self._git.directory / "packed-refs").read_text().splitlines():
                if line.endswith(f" {ref}"):
                    return line.partition(" ")[0]
        return None

    def _clear(self) -> int:
        """Remove what broken transfers left; give the size of the largest file."""
        largest = 0
        for leftover in (self._git.directory / "objects" / "pack").glob("tmp_*"):
            largest = max(largest, leftover.stat().st_size)
            leftover.unlink()
        return largest

    def _files(self) -> Iterator[Path]:
        objects = self._git.directory / "objects"
        for parent, _, names in os.walk(objects):
            for name in sorted(names):
                if not name.startswith("tmp_"):
                    yield type(objects)(parent) / name

    def _vouched(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            return self._records.vouch(path.relative_to(self._root).as_posix(), path.stat())
        return False

    async def _sound(self) -> bool:
        # Not fsck, which also blames old commits for their form: what counts is that every object
        # hashes to its name, and that none is missing.
        packs = sorted((self._git.directory / "objects" / "pack").glob("*.idx"))
        if any(path.suffix not in (".pack", ".idx") for path in self._files()):
            return False
        try:
            if packs:
                await self._git.run("verify-pack", *(str(path) for path in packs))
            await self._git.run("rev-list", "--objects", "--all", "--quiet")
            for ref, known in self._state["refs"].items():
                if await self._git.line("rev-parse", "--verify", ref) != known["at"]:
                    return False
        except (GitFailed, KeyError, TypeError):
            return False
        return True

    async def is_as_it_says(self) -> bool:
        """Say whether each ref leads to the commits that it is said to have been verified for."""
        for ref, known in self._state["refs"].items():
            for commit in known["expected"]:
                inside = ref.startswith("refs/heads/") and await self._git.succeeds(
                    "merge-base", "--is-ancestor", check_commit(str(commit)), str(known["at"])
                )
                peeled = await self._git.line("rev-parse", "--verify", f"{known['at']}^{{commit}}")
                if not inside and commit not in (peeled, known["at"]):
                    return False
        return True


def _local(want: Want) -> str:
    """The name of the ref that holds what is wanted."""
    if want.kind == "head" and want.name:
        return f"refs/heads/dag/{want.commit}"
    return want.ref


def _link_state(link: Link) -> dict[str, str] | None:
    try:
        return {"path": locate(link.uri)[0], "commit": link.commit}
    except UsageError:
        return None
