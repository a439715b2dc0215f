"""`git-checkout` steps whose repositories are fetched into a cache, and melange's own step on it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import yaml

from cluster import parts
from dag.core.package.model import Checkout
from dag.core.sources.checkouts import repositories_of
from dag.io.retries import RetryPolicy
from dag.io.sources.cache import Cache
from dag.io.sources.git.cache import GitCache, GitOutcome
from dag.io.sources.git.process import GitLimits
from dag.io.sources.git.stored import write_config
from tests.support.downloading import Silent

if TYPE_CHECKING:
    from pathlib import Path

RETRY = RetryPolicy(attempts=2, first=0.001, longest=0.001)


def step(
    repository: str,
    commit: str = "",
    *,
    tag: str = "",
    branch: str = "",
    depth: str = "unset",
    submodules: bool = False,
    picks: str = "",
    line: int = 7,
    is_tip: bool = False,
) -> Checkout:
    what = (repository, tag, branch, commit, depth, submodules, picks)
    return Checkout(*what, ".", "x.yaml", line, is_branch_tip=is_tip)


def bring(
    cache: Cache,
    *steps: Checkout,
    limits: GitLimits | None = None,
    verify: bool = False,
    watcher: Silent | None = None,
    credentials: bool = False,
) -> list[GitOutcome]:
    found = repositories_of(steps, credentials=credentials)
    wanted, problems = found.repositories, found.problems
    assert not problems
    gits = GitCache(
        cache,
        watcher or Silent(),
        retry=RETRY,
        limits=limits,
        verify=verify,
        credentials=credentials,
    )
    outcomes = asyncio.run(gits.run(wanted))
    write_config(cache, wanted)
    return outcomes


def failure(
    cache: Cache, *steps: Checkout, limits: GitLimits | None = None, credentials: bool = False
) -> str:
    outcomes = bring(cache, *steps, limits=limits, credentials=credentials)
    assert "failed" in {outcome.status for outcome in outcomes}
    return "\n".join(str(problem) for outcome in outcomes for problem in outcome.problems)


def statuses(outcomes: list[GitOutcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def checkout(cache: Cache, tmp_path: Path, wanted: Checkout, *, network: bool = False) -> Path:
    """Run melange's own git-checkout step, unchanged, on the cache; by default without a network."""
    inputs = {
        "repository": wanted.repository,
        "destination": ".",
        "depth": wanted.depth,
        "branch": wanted.branch,
        "tag": wanted.tag,
        "expected-commit": wanted.expected_commit,
        "recurse-submodules": str(wanted.recurse_submodules).lower(),
        "cherry-picks": wanted.cherry_picks,
        "expected-commit-is-branch-tip": str(wanted.is_branch_tip).lower(),
    }
    text = (parts.pipelines() / "git-checkout.yaml").read_text()
    pipeline = yaml.safe_load(text)
    for name, given in pipeline["inputs"].items():
        inputs.setdefault(name, _text(given.get("default", "")))
    inputs["max-retries"] = "0"
    script = re.sub(
        r"\$\{\{inputs\.([a-z-]+)\}\}", lambda m: inputs[m[1]], pipeline["pipeline"][0]["runs"]
    )
    work = tmp_path / "workspace"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    # Not all of `/`: what containers have mounted may go at any moment, and then bwrap fails.
    command = ["bwrap", *([] if network else ["--unshare-net"]), "--dev", "/dev", "--proc", "/proc"]
    for place in ("/bin", "/etc", "/lib", "/lib64", "/usr"):
        command += ["--ro-bind-try", place, place]
    command += ["--bind", str(tmp_path), str(tmp_path), "--tmpfs", "/var/cache"]
    command += ["--ro-bind", str(cache.directory), "/var/cache/melange", "--chdir", str(work)]
    command += [
        "--dir",
        "/tmp",
        "--tmpfs",
        "/root",
        "--clearenv",
        "--setenv",
        "PATH",
        "/usr/bin:/bin",
    ]
    command += ["--setenv", "HOME", "/root"]
    for line in (cache.directory / "melange.env").read_text().splitlines():
        name, _, value = line.partition("=")
        command += ["--setenv", name, value]
    done = subprocess.run(
        [*command, "bash", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return work
