"""`dag pod` on the real Kubernetes: what it builds, and how each failure ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import yaml

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from examples.sources import ADDRESS, SourceServer
from tests.cluster.running import Dag

pytestmark = pytest.mark.cluster

ECHOES = """\
ARCH ?= none
all: packages/$(ARCH)/one-1.10-r2.apk packages/$(ARCH)/two-1.10-r2.apk
packages/$(ARCH)/%.apk:
	@echo making $@
	@mkdir -p packages/$(ARCH); echo $@ >$@
"""


def definitions(directory: Path, makefile: str = ECHOES) -> Path:
    """Write two packages, `two` built with `one`, beside a Makefile."""
    directory.mkdir()
    for name, needed in (("one", "busybox"), ("two", "one")):
        document = {
            "package": {"name": name, "version": "1.10", "epoch": 2, "description": name},
            "environment": {"contents": {"packages": [needed]}},
        }
        text = yaml.safe_dump(document).replace("'1.10'", "1.10")
        (directory / f"{name}.yaml").write_text(text)
    (directory / "Makefile").write_text(makefile)
    return directory


def test_the_closure_is_built_in_order_and_brought_back(dag: Dag, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = dag.pod(definitions(tmp_path / "d"), "--out", out, "two")
    assert done.returncode == 0, done.stderr
    made = [line for line in done.stdout.splitlines() if "making" in line]
    assert made == [f"[build] making packages/x86_64/{name}-1.10-r2.apk" for name in ("one", "two")]
    assert (out / "x86_64/two-1.10-r2.apk").read_text() == "packages/x86_64/two-1.10-r2.apk\n"
    assert [f"[build] {line}" for line in (out / "build.log").read_text().splitlines()] == made


def test_only_leaves_dependencies_out(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(definitions(tmp_path / "d"), "--only", "two")
    assert done.returncode == 0, done.stderr
    assert "one-1.10" not in done.stdout
    assert "two-1.10" in done.stdout


def test_a_failing_target_ends_the_command_with_makes_message(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(definitions(tmp_path / "d", "all:\n\t@echo going; exit 7\n"))
    assert done.returncode == 1
    assert "[build] make: *** [Makefile:2: all] Error 7" in done.stdout
    assert "make failed with exit code 2 (target all)" in done.stderr


def test_what_is_printed_is_what_kubectl_can_create(dag: Dag, tmp_path: Path) -> None:
    printed = dag.pod(definitions(tmp_path / "d"), "--create=false")
    assert printed.returncode == 0, printed.stderr
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(printed.stdout)
    name = dag.kubectl("create", "-f", str(manifest), "-o", "name").strip()
    dag.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", name, "--timeout=60s")
    assert "making packages/x86_64/two-1.10-r2.apk" in dag.kubectl("logs", name, "-c", "build")
    created = yaml.safe_load(dag.kubectl("get", name, "-o", "yaml"))
    wanted = yaml.safe_load(printed.stdout)
    assert created["metadata"]["annotations"].items() >= wanted["metadata"]["annotations"].items()
    assert [c["command"] for c in created["spec"]["containers"]] == [
        c["command"] for c in wanted["spec"]["containers"]
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--namespace=nowhere"], 'namespaces "nowhere" not found'),
        (["--sdk-image=127.0.0.1:5000/none:1"], "there is no image 127.0.0.1:5000/none:1"),
        (["--bundle-repo=127.0.0.1:1/x"], "cannot be reached"),
        (["--cpu=9000", "--pending-timeout=3s"], "Insufficient cpu"),
        (["--service-account=nobody"], 'serviceaccount "nobody" not found'),
        (["--pull-repo=127.0.0.1:5000/other"], "cannot pull 127.0.0.1:5000/other@sha256:"),
    ],
)
def test_what_the_environment_refuses_is_said_and_leaves_no_pod(
    dag: Dag, tmp_path: Path, words: list[str], message: str
) -> None:
    done = dag.pod(definitions(tmp_path / "d"), *words)
    assert done.returncode == 3, done.stderr
    assert message in done.stderr
    assert dag.pods() == []


def test_without_permission_nothing_is_created(dag: Dag, tmp_path: Path) -> None:
    limited = dag.cluster.limited_kubeconfig
    done = dag.pod(definitions(tmp_path / "d"), "--kubeconfig", limited)
    assert done.returncode == 3
    assert "no permission" in done.stderr
    assert "create pods" in done.stderr


def test_a_build_that_somebody_deletes_is_named_so(dag: Dag, tmp_path: Path) -> None:
    directory = definitions(tmp_path / "d", "all:\n\t@echo running; sleep 600\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "dag", "pod", "--dir", str(directory)],
        env=dag.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "[build] running\n"
    dag.kubectl("delete", "pods", "--all", "--wait=false", "--grace-period=1")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    assert "somebody deleted the pod" in errors


@pytest.mark.parametrize("kind", ["2023", "2026"])
def test_real_melange_builds_the_example_with_both_kinds_of_makefile(
    dag: Dag, tmp_path: Path, kind: Literal["2023", "2026"]
) -> None:
    bootstrap()
    out = tmp_path / "out"
    with SourceServer(host=ADDRESS, port=0) as server:
        directory = lay_out(tmp_path / "d", kind=kind, source_url=server.url)
        done = dag.pod(directory, "--ram=256Mi", "--out", out)
    assert done.returncode == 0, done.stderr
    assert (out / "x86_64/everything-1-r0.apk").exists()
    assert (out / "x86_64/APKINDEX.tar.gz").exists()
