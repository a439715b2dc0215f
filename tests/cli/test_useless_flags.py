"""A flag that is of no use without another is refused where it is typed, and only there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import commands

JOBS = "--on kubernetes"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with one definition that needs nothing."""
    (tmp_path / "one.yaml").write_text("package: {name: one, version: 1, epoch: 0}\n")
    (tmp_path / "key.rsa").write_text("no key")
    return tmp_path


def said(place: Path, *words: str, variables: Mapping[str, str] | None = None) -> tuple[int, str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), **(variables or {})}
    done = commands.dag(*words, environment=environment, cwd=place)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("typed", "flags", "needed"),
    [
        ("build --queue q", "--queue is", JOBS),
        ("build --spot -n builds", "--namespace and --spot are", JOBS),
        ("build --sdk-image x", "--sdk-image is", JOBS),
        ("build --isolation userns", "--isolation is", JOBS),
        ("build --detach", "--detach is", JOBS),
        ("build --no-proxy a.example", "--no-proxy is", "--proxy"),
        ("build --out x", "--out is", JOBS),
        ("build --signer-timeout 1m", "--signer-timeout is", "--sign apart"),
        ("build --signing-key key.rsa --publish=false", "--signing-key is", "--publish"),
        ("build --signing-key key.rsa --sign apart", "--signing-key is", "--sign here"),
        ("publish --signer-timeout 1m", "--signer-timeout is", "--sign apart"),
        ("status --context x", "--context is", JOBS),
        ("logs one --kubeconfig key.rsa", "--kubeconfig is", JOBS),
        ("pod --bucket-secret x", "--bucket-secret is", "--bucket or --src-bucket"),
        ("pod --csi-driver x", "--csi-driver is", "--secret-key"),
        ("pod --pending-timeout 1m --watch=false", "--pending-timeout is", "--watch"),
        ("doctor --queue q", "--queue is", JOBS),
        ("doctor --detach --on local", "--detach is", JOBS),
        ("doctor --store pvc://a", "--store is", f"{JOBS} or --on local"),
        ("doctor --on local --probe=false", "--probe is", f"--on pod or {JOBS}"),
        ("doctor --on kubernetes --push=false", "--push is", "--on pod"),
        ("cache --agent-image x", "--agent-image is", "--bundle-repo"),
        ("store prune --signing-key key.rsa", "--signing-key is", "--gone"),
        ("setup cluster --reach 10.0.0.0/8", "--reach is", "--close-network"),
        ("setup kind --json", "--json is", "--print"),
        ("setup kind --yes", "--yes is", "--undo"),
        ("setup gke --zone z --arm-machine x", "--arm-machine is", "--arm"),
    ],
)
def test_it_is_refused_where_it_is_typed(place: Path, typed: str, flags: str, needed: str) -> None:
    code, err = said(place, *typed.split())
    assert code == 2
    assert err.startswith(f"dag: {flags} of no use without {needed}")
    them = "them" if " and " in flags else "it"
    assert err.endswith(f"hint: leave {them} out, or give {needed}\n")


@pytest.mark.parametrize("typed", ["build --dry-run --spot=false", "build --dry-run"])
def test_what_says_nothing_new_and_what_others_need_stops_no_build_here(
    place: Path, typed: str
) -> None:
    (place / "dag.toml").write_text('queue = "q"\n[build]\nsigner-timeout = "1m"\n')
    code, err = said(place, *typed.split(), variables={"DAG_SPOT": "1", "DAG_NAMESPACE": "builds"})
    assert (code, err) == (0, "dag: 1 package to build for x86_64, 0 there already\n")


def test_it_is_taken_where_the_environment_or_the_store_gives_what_it_needs(place: Path) -> None:
    for words, variables in (
        (("build", "--queue=q"), {"DAG_ON": "kubernetes"}),
        (("status", "--queue=q", "--store=pvc://a"), {}),
    ):
        code, err = said(place, *words, variables={"KUBECONFIG": "/none", **variables})
        assert code != 0
        assert "of no use" not in err
