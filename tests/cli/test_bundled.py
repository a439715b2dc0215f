"""What flags name and the bundle leaves out is refused before anything is created."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.test_graph_commands import define, index
from tests.cli.test_pod import MAKEFILE, dag

POD = ("pod", "--create=false", "--push=false", "--bundle-repo=r.example.com/dag")
JOBS = ("build", "--on=kubernetes", "--store=pvc://a", "--bundle-repo=127.0.0.1:1/dag")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path / "definitions"
    for repository in ("boot", "packages"):
        (root / repository / "x86_64").mkdir(parents=True)
        (root / repository / "x86_64" / "APKINDEX.tar.gz").write_bytes(index("P:x\nV:1-r0\n\n"))
        (root / repository / "x86_64" / "x-1-r0.apk").write_bytes(b"a package")
    (root / "boot" / "boot.rsa.pub").write_text("a public key")
    (root / "steps" / "mine").mkdir(parents=True)
    (root / "steps" / "mine" / "step.yaml").write_text("pipeline: []\n")
    define(root, "one", "[busybox]")
    (root / "Makefile").write_text(MAKEFILE)
    return root


def run(
    command: tuple[str, ...], *words: str | Path, place: Path
) -> subprocess.CompletedProcess[str]:
    return dag(*command, *words, place=place, KUBECONFIG="/nope")


@pytest.mark.parametrize("command", [POD, JOBS], ids=["pod", "jobs"])
@pytest.mark.parametrize(
    ("flag", "named", "left_out", "why"),
    [
        ("-r", "boot", "boot", "boot/x86_64/APKINDEX.tar.gz, which -r {} needs, is left out of the bundle: boot (.dagignore:1)"),
        ("-r", "boot", "**/*.apk", "boot/x86_64/x-1-r0.apk, which -r {} needs, is left out of the bundle: **/*.apk (.dagignore:1)"),
        ("--keyring", "boot/boot.rsa.pub", "boot", "boot/boot.rsa.pub, which --keyring {} needs, is left out of the bundle: boot (.dagignore:1)"),
    ],
)  # fmt: skip
def test_a_repository_or_a_keyring_that_is_left_out_is_refused(
    place: Path, command: tuple[str, ...], flag: str, named: str, left_out: str, why: str
) -> None:
    (place / ".dagignore").write_text(f"{left_out}\n")
    done = run(command, flag, place / named, place=place)
    assert done.returncode == 2
    assert f"dag: {why.format(place / named)}" in done.stderr
    assert f"hint: bring it along with --include {named}" in done.stderr
    # What the hint says is enough.
    done = run(command, flag, place / named, "--include", named, place=place)
    assert "left out of the bundle" not in done.stderr
    if command is POD:
        assert done.returncode == 0, done.stderr
    else:  # the cluster is next
        assert "/nope, which $KUBECONFIG names, does not exist" in done.stderr


def test_built_packages_are_a_repository_for_a_pod_and_for_no_job(place: Path) -> None:
    packages = place / "packages"
    done = run(POD, "-r", packages, place=place)
    assert done.returncode == 2
    why = "packages/x86_64/APKINDEX.tar.gz, which -r {} needs, is left out of the bundle: built packages"
    assert f"dag: {why.format(packages)}" in done.stderr
    assert run(POD, "-r", packages, "--include", "packages", place=place).returncode == 0
    done = run(JOBS, "-r", packages, "--include", "packages", place=place)
    assert done.returncode == 2
    assert f"{packages} is where a build puts its own packages" in done.stderr


def test_a_keyring_that_is_no_public_key_is_not_said_to_travel_with_include(place: Path) -> None:
    key = place / "boot" / "boot.rsa"
    key.write_text("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n")
    done = run(POD, "--keyring", key, place=place)
    assert done.returncode == 2
    assert "is left out of the bundle: a private key\n" in done.stderr
    assert "hint: no bundle takes it: name another file" in done.stderr


@pytest.mark.parametrize("command", [POD, JOBS], ids=["pod", "jobs"])
def test_pipelines_that_are_left_out_are_refused(place: Path, command: tuple[str, ...]) -> None:
    (place / ".dagignore").write_text("steps\n")
    done = run(command, "--pipeline-dir", place / "steps", place=place)
    assert done.returncode == 2
    assert "steps/mine/step.yaml, which --pipeline-dir" in done.stderr
    done = run(command, "--pipeline-dir", place / "steps", "--include=steps", place=place)
    assert "left out of the bundle" not in done.stderr


def test_a_definition_that_is_built_and_left_out_is_refused(place: Path) -> None:
    define(place, "two", "[busybox]")
    (place / ".dagignore").write_text("one.yaml\n")
    done = run(POD, place=place)
    assert done.returncode == 2
    assert "dag: one.yaml, which the build of one needs, is left out of the bundle" in done.stderr
    assert run(POD, "two", place=place).returncode == 0


def test_what_is_only_for_another_architecture_may_be_left_out(place: Path) -> None:
    (place / "boot" / "aarch64").mkdir()
    (place / "boot" / "aarch64" / "APKINDEX.tar.gz").write_bytes(index("P:x\nV:1-r0\n\n"))
    (place / ".dagignore").write_text("boot/aarch64\n")
    assert run(POD, "-r", place / "boot", place=place).returncode == 0
    done = run(POD, "-r", place / "boot", "--arch=x86_64,aarch64", place=place)
    assert "boot/aarch64/APKINDEX.tar.gz, which -r" in done.stderr
