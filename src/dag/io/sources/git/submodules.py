"""Reads the submodules of a commit from its `.gitmodules` and its tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dag.core.limits import GITMODULES
from dag.core.sources.remotes import submodule_uri
from dag.io.sources.git.process import GitFailed

if TYPE_CHECKING:
    from dag.io.sources.git.process import Git


@dataclass(frozen=True, slots=True)
class Link:
    """A submodule: its path in its parent, where it comes from, and which commit it must be."""

    path: str
    uri: str
    commit: str


async def read_submodules(git: Git, commit: str, uri: str) -> list[Link]:
    """Return the submodules of a commit in `git`'s repository; `uri` is where that comes from.

    Raises:
        GitFailed: the commit, or its list of submodules, cannot be read.

    """
    entry = f"{commit}:.gitmodules"
    if not await git.succeeds("cat-file", "-e", entry):
        return []
    size = int(await git.line("cat-file", "-s", entry))
    if size > GITMODULES.most:
        raise GitFailed(str(GITMODULES.error(entry)), heals=False)
    listed = await git.run("config", "--null", "--blob", entry, "--list")
    modules: dict[str, dict[str, str]] = {}
    for item in listed.decode(errors="replace").split("\0"):
        key, _, value = item.partition("\n")
        section, _, rest = key.partition(".")
        name, _, variable = rest.rpartition(".")
        if section == "submodule":
            modules.setdefault(name, {})[variable] = value
    paths = [module["path"] for module in modules.values() if module.get("path")]
    tree = await git.run("ls-tree", "-z", commit, "--", *paths) if paths else b""
    links = {}
    for line in tree.decode(errors="replace").split("\0"):
        mode, _, rest = line.partition(" ")
        if mode == "160000":
            linked, _, path = rest.removeprefix("commit ").partition("\t")
            links[path] = linked
    return [
        Link(module["path"], submodule_uri(uri, module.get("url", "")), links[module["path"]])
        for module in modules.values()
        if module.get("path") in links and module.get("update") != "none"
    ]
