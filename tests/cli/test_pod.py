"""`dag pod --create=false` as a person runs it: a manifest on stdout, and no cluster is asked."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.test_graph_commands import define, index
from tests.support import commands
from tests.support.faults import Origin
from tests.support.kubeconfigs import kubeconfig
from tests.support.schema import checked

MAKEFILE = (
    "KEY ?= local.rsa\n${KEY}:\n\t${MELANGE} keygen ${KEY}\n"
    "package/%: ${KEY}\n"
    "\t${MELANGE} build $*.yaml --signing-key ${KEY} ${MELANGE_EXTRA_OPTS}\n"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path / "definitions"
    root.mkdir()
    define(root, "one", "[busybox]")
    (root / "Makefile").write_text(MAKEFILE)
    return root


def dag(*words: str | Path, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the definitions, with a home of its own and no kubeconfig."""
    own = {"PATH": os.environ["PATH"], "HOME": str(place.parent)}
    return commands.dag(*words, "-d", place, environment=own | environment)


def printed(*words: str | Path, place: Path, **environment: str) -> Any:
    """Return the Pod that would be created."""
    flags = ("--create=false", "--push=false", "--bundle-repo=r.example.com/dag")
    done = dag("pod", *flags, *words, place=place, **environment)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def namespace(*words: str | Path, place: Path, **environment: str) -> str:
    found = printed(*words, place=place, **environment)["metadata"]["namespace"]
    assert isinstance(found, str)
    return found


def test_the_pod_goes_to_the_namespace_of_the_context(place: Path, tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    kubeconfig(config, "http://127.0.0.1:1")  # which nobody serves
    config.write_text(config.read_text().replace("user: me", "user: me\n    namespace: builds"))
    assert namespace(place=place) == "default"
    assert namespace(place=place, KUBECONFIG=str(config)) == "builds"
    assert namespace("--kubeconfig", config, place=place) == "builds"
    assert namespace("-n", "mine", place=place, KUBECONFIG=str(config)) == "mine"
    assert namespace(place=place, KUBECONFIG=str(config), DAG_NAMESPACE="other") == "other"
    (place / "dag.toml").write_text('namespace = "written"\n')
    assert namespace(place=place, KUBECONFIG=str(config)) == "written"


def test_a_kubeconfig_that_is_not_there_is_said_and_no_error(place: Path) -> None:
    flags = ("--create=false", "--push=false", "--bundle-repo=r.example.com/dag")
    done = dag("pod", *flags, place=place, KUBECONFIG="/nope")
    assert yaml.safe_load(done.stdout)["metadata"]["namespace"] == "default"
    assert (
        "dag: the namespace is default, because /nope, which $KUBECONFIG names, does not exist"
        in done.stderr
    )


@pytest.fixture
def unserved() -> Iterator[dict[str, str]]:
    """Return variables that name images of a server that has none: no other is asked for them."""
    with Origin() as server:
        image = f"{server.url.removeprefix('http://')}/dag"
        yield dict.fromkeys(("DAG_BUNDLE_REPO", "DAG_BUNDLE_BASE", "DAG_SDK_IMAGE"), image)


def test_the_doctor_looks_into_the_namespace_of_the_context(
    place: Path, unserved: dict[str, str]
) -> None:
    for missing in ({}, {"KUBECONFIG": "/nope"}):
        done = dag("doctor", "--probe=false", place=place, **unserved | missing)
        assert "ok       bundle" in done.stdout
        assert "failed   api" in done.stdout


@pytest.mark.long
def test_the_pod_requests_what_the_largest_definition_asks_for(place: Path) -> None:
    def build_requests(*words: str, **environment: str) -> dict[str, str]:
        (build,) = printed(*words, place=place, **environment)["spec"]["containers"]
        found: dict[str, str] = build["resources"]["requests"]
        return found

    define(place, "big", "[busybox]", "# the last line")
    file = place / "big.yaml"
    file.write_text(
        file.read_text().replace("epoch: 2\n", "epoch: 2\n  resources:\n    memory: 500Gi\n")
    )
    assert build_requests() == {"cpu": "1", "memory": "500Gi", "ephemeral-storage": "1Gi"}
    assert build_requests("one")["memory"] == "2Gi"
    assert build_requests("--ram=1Ti")["memory"] == "1Ti"
    assert build_requests(DAG_RAM="3Gi", DAG_CPU="3") == {
        "cpu": "3",
        "memory": "500Gi",
        "ephemeral-storage": "1Gi",
    }
    flags = ("--create=false", "--push=false", "--bundle-repo=r.example.com/dag")
    said = dag("pod", *flags, place=place).stderr
    assert "dag: the pod requests memory 500Gi for big (big.yaml:6), as the definition asks" in said
    file.write_text(file.read_text().replace("500Gi", "500Ti"))
    done = dag("build", "--dry-run", place=place)
    assert re.search(
        r"dag: big asks for more than the [\d.]+ CPUs and [\d,]+ MiB of this", done.stderr
    )
    file.write_text(file.read_text().replace("500Ti", "plenty"))
    # It stops only what needs it.
    said = f"dag: {file}:6: package.resources.memory: 'plenty' is no Kubernetes quantity; write it"
    for words in (("pod", *flags), ("build", "--dry-run"), ("text",)):
        done = dag(*words, place=place)
        assert done.returncode == 0
        assert said in done.stderr
        assert done.stdout
        done = dag(*words, "big", place=place)
        assert done.returncode == 2
    done = dag("build", "--dry-run", "--strict", "one", place=place)
    assert done.returncode == 2
    assert done.stderr.startswith(said)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("REPO", "https://r.io/a", "--bundle-repo (from $REPO): 'https://r.io/a' is no image"),
        ("DAG_BUNDLE_REPO", "r.io/a:b", "--bundle-repo (from $DAG_BUNDLE_REPO): 'r.io/a:b' is no"),
        ("DAG_PULL_REPO", "https://r.io/a", "--pull-repo (from $DAG_PULL_REPO): 'https://r.io/a'"),
        ("DAG_SDK_IMAGE", "https://r.io/a", "--sdk-image (from $DAG_SDK_IMAGE): 'https://r.io/a'"),
        ("DAG_BUNDLE_BASE", "A", "--bundle-base (from $DAG_BUNDLE_BASE): 'A' is no image"),
        ("DAG_CACHE_BUNDLE", "oci://x", "--cache-bundle (from $DAG_CACHE_BUNDLE): 'oci://x' is no"),
        ("DAG_TRANSFER_IMAGE", "r.io/a", "--transfer-image has no meaning any more: dag transfers"),
        ("DAG_BUCKET", "az://a-b", "--bucket az://a-b needs --bucket-secret: nothing else says"),
        ("DAG_ARCH", "amd65", "--arch (from $DAG_ARCH): 'amd65' is no architecture; did you mean"),
        ("DAG_NODE_ARCH", "arm65", "--node-arch (from $DAG_NODE_ARCH): 'arm65' is no architecture"),
        ("DAG_KEYRING", "/nope", "--keyring (from $DAG_KEYRING): File '/nope' does not exist."),
        ("DAG_REPOSITORY", "/nope", "--repository (from $DAG_REPOSITORY): Path '/nope' does not"),
        ("DAG_DIR", "/nope", "--dir (from $DAG_DIR): Directory '/nope' does not exist."),
        ("PROJECT", "https://x", "'https://x' is no project of Google Cloud, so there is no"),
        ("KUBECONFIG", "/nope", "dag: /nope, which $KUBECONFIG names, does not exist"),
    ],
)
def test_a_variable_that_cannot_be_meant_so_is_named(
    place: Path, unserved: dict[str, str], variable: str, value: str, words: str
) -> None:
    if "REPO" in variable or variable == "PROJECT":
        del unserved["DAG_BUNDLE_REPO"]
    directory = () if variable == "DAG_DIR" else ("-d", str(place))
    own = {"PATH": os.environ["PATH"], "HOME": str(place.parent), **unserved, variable: value}
    for command in ("pod", "doctor"):
        done = commands.dag(command, *directory, environment=own)
        assert done.returncode == 2
        said = done.stderr if command == "pod" else done.stdout + done.stderr
        assert words.removeprefix("dag: " if command == "doctor" else "") in said


def test_if_a_repository_has_everything_that_is_said(place: Path, tmp_path: Path) -> None:
    repository, page = tmp_path / "repository" / "x86_64", tmp_path / "page.md"
    repository.mkdir(parents=True)
    (repository / "APKINDEX.tar.gz").write_bytes(index("P:one\nV:1.10-r2\n\n"))
    flags = ("--bundle-repo=127.0.0.1:1/a", "-n", "builds", "-r", repository.parent)
    done = dag("pod", *flags, "--json", "--markdown", page, place=place)
    assert done.returncode == 0, done.stderr
    assert checked(done.stdout, "pods")["namespace"] == "builds"
    assert page.read_text() == "## dag pod: nothing to build\n"


@pytest.mark.parametrize("files", [(), ("Makefile",), ("Makefile", "other.yaml")])
def test_a_directory_without_definitions_is_said_to_have_none(
    tmp_path: Path, unserved: dict[str, str], files: tuple[str, ...]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in files:
        (empty / name).write_text("other: thing\n" if name.endswith("yaml") else MAKEFILE)
    for words in (("pod", "--bundle-repo=127.0.0.1:1/a"), ("build",), ("text",), ("cache",)):
        done = dag(*words, place=empty)
        assert done.returncode == 2
        assert f"dag: {empty} has no package definitions" in done.stderr
        assert "--dir" in done.stderr
    done = dag("doctor", "--probe=false", place=empty, **unserved)
    assert f"failed   definitions      {empty} has no package definitions" in done.stdout


def test_a_bundle_on_an_agent_that_was_never_made_is_named_by_a_tag_and_that_is_said(
    place: Path,
) -> None:
    flags = ("--create=false", "--push=false", "--bundle-repo=r.example.com/dag")
    done = dag("pod", *flags, place=place)
    assert done.returncode == 0, done.stderr
    (init,) = yaml.safe_load(done.stdout)["spec"]["initContainers"]
    assert re.fullmatch(r"r\.example\.com/dag:bundle-[0-9a-f]{64}", init["image"])
    tag = init["image"].partition(":")[2]
    assert "this machine has not made the agent's image yet" in done.stderr
    assert f"it is named by the tag {tag}" in done.stderr


def test_a_keyring_with_the_name_of_the_key_of_the_pod_is_refused_with_flags_that_it_has(
    place: Path,
) -> None:
    (place / "melange.rsa.pub").write_text("a key")
    flags = ("--create=false", "--push=false", "--bundle-repo=r.example.com/dag")
    done = dag("pod", *flags, "--keyring", place / "melange.rsa.pub", place=place)
    assert done.returncode == 2
    assert "and the build's own key are both called melange.rsa.pub" in done.stderr
    assert "--secret-key with --signing-key-name gives this build one" in done.stderr
    more = ("--secret-key", "--signing-key-name=ours")
    printed(*more, "--keyring", place / "melange.rsa.pub", place=place)
