"""Builds for arm64 on the real nodes of this machine, whose kernel starts QEMU for such programs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx2
import pytest
import yaml

from cluster import Cluster, emulation, oci
from dag.core.image.agent import LABEL
from examples.bootstrap import add_foreign
from examples.layout import lay_out
from tests.support.cluster.findings import Findings
from tests.support.cluster.foreign import MACHINE, member
from tests.support.cluster.images import busybox_image
from tests.support.cluster.running import Dag, definitions

pytestmark = pytest.mark.cluster


def mounts() -> list[str]:
    """Return the mounts of the file system in which formats of programs are registered."""
    return [line for line in Path("/proc/mounts").read_text().splitlines() if "binfmt" in line]


@pytest.mark.usefixtures("no_emulation")
def test_down_leaves_the_machine_as_up_found_it() -> None:
    before = mounts()
    busybox = emulation.programs("aarch64", "busybox-static") / "bin/busybox"
    try:
        emulation.up("aarch64")
        emulation.up("aarch64")
        said = subprocess.run([busybox, "uname", "-m"], capture_output=True, text=True, check=True)
        assert said.stdout == "aarch64\n"
        registered = [entry.name for entry in emulation.PLACE.glob("dag-*")]
    finally:
        emulation.down()
    assert registered == ["dag-aarch64"]
    assert list(emulation.PLACE.glob("dag-*")) == []
    assert mounts() == before


@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_real_melange_builds_for_two_architectures_from_one_bundle(
    dag: Dag, arm_node: Cluster, tmp_path: Path, isolation: str
) -> None:
    directory, out = lay_out(tmp_path / "d"), tmp_path / "out"
    add_foreign(directory / "bootstrap", "aarch64")
    (directory / "machine.yaml").write_text(MACHINE)
    words = ("--arch=amd64,arm64", f"--isolation={isolation}", "--pending-timeout=60s")
    done = dag.pod(directory, *words, "--ram=256Mi", "--out", out, "machine")
    assert done.returncode == 0, done.stderr
    for arch in ("x86_64", "aarch64"):
        for package in ("baselayout", "machine"):
            said = member(out / arch / f"{package}-1-r0.apk", ".PKGINFO").splitlines()
            assert f"arch = {arch}" in said
        assert member(out / arch / "machine-1-r0.apk", "usr/share/machine") == f"{arch}\n"


@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_nodes_that_emulate_build_for_another_architecture_and_doctor_tells_them_apart(
    dag: Dag, no_emulation: None, tmp_path: Path, isolation: str
) -> None:
    directory, out = lay_out(tmp_path / "d"), tmp_path / "out"
    (directory / "machine.yaml").write_text(MACHINE)
    emulation.up("aarch64")  # a busybox lists its applets when it runs
    add_foreign(directory / "bootstrap", "aarch64")
    base, _ = arm_images(dag.cluster, tmp_path)
    emulation.down()
    words = ("--arch=arm64", "--node-arch=amd64", f"--isolation={isolation}")
    found = Findings(dag, directory, *words, f"--bundle-base={base}", "machine")
    assert found.code == 3
    assert found.with_status("failed") == ["emulation aarch64"]
    assert "cannot run programs of arm64" in found.failed("emulation aarch64")
    assert "dag setup cluster --binfmt" in found.checks["emulation aarch64"]["fix"]

    emulation.up("aarch64")
    found = Findings(dag, directory, *words, f"--bundle-base={base}", "machine")
    assert found.with_status("failed") == []
    assert found.status("emulation aarch64") == "ok"
    found = Findings(dag, directory, *words, "machine")
    assert "base is not for arm64" in found.checks["emulation aarch64"]["message"]
    done = dag.pod(directory, *words, "--ram=256Mi", "--out", out, "machine")
    assert done.returncode == 0, done.stderr
    assert member(out / "aarch64/machine-1-r0.apk", "usr/share/machine") == "aarch64\n"


SAYS = "all:\n\t@echo base for $$(cat architecture), built on $$(uname -m)\n"


def test_each_platform_of_the_bundles_index_carries_it_into_a_pod(
    dag: Dag, arm_node: Cluster, tmp_path: Path
) -> None:
    base, sdk = arm_images(arm_node, tmp_path)
    directory = definitions(tmp_path / "d", {"one": []}, SAYS)
    done = dag.pod(directory, "--arch=amd64", f"--bundle-base={base}")
    assert done.returncode == 0, done.stderr
    assert "[build] base for amd64, built on x86_64" in done.stdout

    words = (f"--bundle-base={base}", f"--sdk-image={sdk}", "--create=false", "--trust-steps")
    printed = dag.pod(directory, "--arch=arm64", *words)
    assert printed.returncode == 0, printed.stderr
    pod = yaml.safe_load(printed.stdout)
    (init,) = pod["spec"]["initContainers"]
    # A container runtime takes from an index what it was compiled for, whatever the node says.
    init["image"] = for_arm(init["image"])
    name = dag.kubectl("create", "-f", "-", "-o", "name", stdin=json.dumps(pod)).strip()
    ended = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    dag.kubectl("wait", f"--for={ended}", name, "--timeout=240s")
    assert "base for arm64, built on aarch64" in dag.kubectl("logs", name, "-c", "build")


def arm_images(cluster: Cluster, place: Path) -> tuple[str, str]:
    """Push an agent for both architectures that each name theirs, and an SDK for arm64."""
    foreign = emulation.programs("aarch64", "busybox-static", "libc6", "make")
    busybox = {"amd64": Path("/bin/busybox"), "arm64": foreign / "bin/busybox"}
    bases = {}
    for architecture, program in busybox.items():
        name = place / architecture
        name.write_text(architecture)
        bases[architecture] = busybox_image(
            cluster,
            place / f"base-{architecture}",
            "two-bases",
            config={
                "Entrypoint": ["/bin/sh", "-c", 'exec cp -R "$2/." "$3/"', "agent"],
                "Labels": {LABEL: "a test's"},
            },
            files={"bundle/architecture": name},
            architecture=architecture,
            busybox=program,
        )
    libraries = (foreign / "lib").rglob("*.so*")
    sdk = busybox_image(
        cluster,
        place / "sdk",
        "arm-sdk",
        files={
            "bin/make": foreign / "usr/bin/make",
            **{str(library.relative_to(foreign)): library for library in libraries},
        },
        architecture="arm64",
        busybox=busybox["arm64"],
    )
    both = oci.push_index(cluster.registry, "two-bases", "both", bases)
    return f"{cluster.registry}/two-bases@{both}", f"{cluster.registry}/arm-sdk@{sdk}"


def for_arm(image: str) -> str:
    """Return what an arm64 node pulls from an index."""
    repository, _, digest = image.partition("@")
    host, _, name = repository.partition("/")
    headers = {"Accept": "application/vnd.oci.image.index.v1+json"}
    index = httpx2.get(f"http://{host}/v2/{name}/manifests/{digest}", headers=headers).json()
    (found,) = (
        entry["digest"]
        for entry in index["manifests"]
        if entry["platform"]["architecture"] == "arm64"
    )
    return f"{repository}@{found}"
