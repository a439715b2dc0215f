"""`dag pod` builds the right packages in order, and writes to the registry and the API."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
import zstandard

from tests.support.cluster.running import Dag, definitions
from tests.support.distributions import TODAY, unpacked

pytestmark = pytest.mark.cluster

CHAIN = {"unrelated": [], "top": ["middle"], "middle": ["bottom"], "bottom": []}


def made(output: str) -> list[str]:
    return [line.removeprefix("[build] making ") for line in output.splitlines()]


def test_a_subset_builds_its_closure_in_order_and_nothing_else(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(definitions(tmp_path / "d", CHAIN), "top")
    assert done.returncode == 0, done.stderr
    assert made(done.stdout) == ["bottom-1.10-r2", "middle-1.10-r2", "top-1.10-r2"]
    assert "3 packages to make for x86_64" in done.stderr
    assert "made no package" not in done.stderr


def test_only_builds_just_what_was_named_and_out_brings_it_back(dag: Dag, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = dag.pod(definitions(tmp_path / "d", CHAIN), "--only", "--out", out, "top", "bottom")
    assert done.returncode == 0, done.stderr
    assert made(done.stdout) == ["bottom-1.10-r2", "top-1.10-r2"]
    assert {path.name: path.read_text() for path in (out / "x86_64").iterdir()} == {
        "bottom-1.10-r2.apk": "bottom-1.10-r2\n",
        "top-1.10-r2.apk": "top-1.10-r2\n",
    }
    assert (out / "build.log").read_text() == "making bottom-1.10-r2\nmaking top-1.10-r2\n"


@pytest.mark.parametrize("fails", [False, True])
def test_out_that_cannot_be_written_is_said_and_a_failed_build_stays_one(
    dag: Dag, tmp_path: Path, fails: bool
) -> None:
    directory, out = definitions(tmp_path / "d", CHAIN), tmp_path / "out"
    if fails:
        makefile = "packages/%: ; @mkdir -p packages/x86_64; echo x >$@; exit 5\n"
        (directory / "Makefile").write_text(makefile)
    out.mkdir()
    (out / "x86_64").write_text("a file")
    done = dag.pod(directory, "--out", out)
    assert done.returncode == (1 if fails else 3), done.stderr
    assert f"{out}/x86_64: " in done.stderr
    assert ("make failed with exit code 2" in done.stderr) == fails
    same = dag.pod(directory, "--out", directory)
    assert same.returncode == 2
    assert "--out is the directory of the definitions" in same.stderr


def test_make_gets_the_dollars_that_were_given(dag: Dag, tmp_path: Path) -> None:
    # Kubernetes gives $$ and $(NAME) in a command a meaning of its own.
    makefile = "all: ; @echo '$(value ODD)'\n"
    odd = "$$HOME $(HOSTNAME) $$(KUBERNETES_SERVICE_HOST) $(KUBERNETES_SERVICE_HOST)"
    done = dag.pod(definitions(tmp_path / "d", {"one": []}, makefile), f"--make-var=ODD={odd}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"[build] {odd}\n"


FAILING = """\
packages/%/bottom-1.10-r2.apk: ; @echo the compiler says no >&2; exit 7
packages/%.apk: ; @echo making $@
"""


def test_a_failing_definition_fails_the_command_with_makes_words(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(definitions(tmp_path / "d", CHAIN, FAILING))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "[build] the compiler says no",
        "[build] make: *** [Makefile:1: packages/x86_64/bottom-1.10-r2.apk] Error 7",
    ]
    assert "make failed with exit code 2 (target packages/x86_64/bottom-1.10-r2.apk)" in done.stderr
    (pod,) = dag.pods()
    assert f"the whole log: kubectl logs -n {dag.namespace} {pod[4:]} -c build" in done.stderr


def test_keep_going_makes_everything_that_does_not_fail(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(definitions(tmp_path / "d", CHAIN, FAILING), "--keep-going")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "making" in line]
    assert lines == [
        f"[build] making packages/x86_64/{name}-1.10-r2.apk"
        for name in ("middle", "top", "unrelated")
    ]


def test_without_watching_stdout_is_the_pods_name(dag: Dag, tmp_path: Path) -> None:
    done = dag.pod(definitions(tmp_path / "d"), "--watch=false")
    assert done.returncode == 0, done.stderr
    assert [f"pod/{done.stdout}"] == [f"{pod}\n" for pod in dag.pods()]


def test_what_is_printed_is_what_is_posted_and_builds_the_same(dag: Dag, tmp_path: Path) -> None:
    directory = definitions(tmp_path / "d")
    printed = dag.pod(directory, "--create=false", "--timeout=10m", "--out", tmp_path / "out")
    assert printed.returncode == 0, printed.stderr
    assert dag.pods() == []
    name = dag.kubectl("create", "-f", "-", "-o", "name", stdin=printed.stdout).strip()
    condition = "jsonpath={.status.containerStatuses[?(@.name=='build')].state.terminated.exitCode}"
    dag.kubectl("wait", f"--for={condition}=0", name, "--timeout=240s")
    assert dag.kubectl("logs", name, "-c", "build").splitlines()[:-1] == [
        "making one-1.10-r2",
        "making two-1.10-r2",
    ]
    wanted = yaml.safe_load(printed.stdout)
    assert unchanged(wanted, dag.pod_json()) == []
    dag.kubectl("delete", name, "--wait=false")

    watched = dag.pod(directory, "--watch=false", "--timeout=10m")
    posted = json.loads(dag.kubectl("get", f"pod/{watched.stdout.strip()}", "-o", "json"))
    del wanted["metadata"]["labels"]["dag/run"]  # one for each command
    del wanted["metadata"]["annotations"]["dag/spec"]  # which is the hash of all of it
    # Nothing of --out may remain, because it is the only difference between the two commands.
    wanted["spec"]["containers"][1:] = []
    (build,), (init,) = wanted["spec"]["containers"], wanted["spec"]["initContainers"]
    build["command"].remove("--pipe=/dag-pipes/out")
    init["args"].remove("--pipe=/dag-pipes/out")
    for one in (build, init):
        assert one["volumeMounts"].pop()["name"] == "pipes"
    wanted["spec"]["volumes"][3:] = []
    without_token = "eks.amazonaws.com/skip-containers"
    assert wanted["metadata"]["annotations"].pop(without_token) == "init,build,out"
    assert unchanged(wanted, posted) == []


def test_tags_become_the_digests_that_they_have_now(dag: Dag, tmp_path: Path) -> None:
    flags = ["--create=false", "--cache-bundle", dag.cluster.base_image, "--bucket=gs://built"]
    printed = dag.pod(definitions(tmp_path / "d"), *flags)
    assert printed.returncode == 0, printed.stderr
    spec = yaml.safe_load(printed.stdout)["spec"]
    images = [one["image"] for one in spec["initContainers"] + spec["containers"]]
    assert len(images) == 4
    assert [image for image in images if "@sha256:" not in image] == []
    name = dag.cluster.base_image.removesuffix(":1")
    assert spec["initContainers"][1]["image"].startswith(f"{name}@sha256:")


def test_options_and_pipelines_reach_the_pods_melange_as_far_as_it_can_have_them(
    dag: Dag, tmp_path: Path
) -> None:
    makefile = "all: ; @echo melange: $(MELANGE_EXTRA_OPTS)\n"
    directory, elsewhere = definitions(tmp_path / "d", makefile=makefile), tmp_path / "elsewhere"
    for place in (directory / "more", elsewhere):
        place.mkdir()
    (directory / "more/write.yaml").write_text("pipeline: [{runs: 'true'}]\n")
    flags = ("--pipeline-dir", directory / "more", "--pipeline-dir", elsewhere)
    done = dag.pod(directory, *flags, "--build-option=docs")
    assert done.returncode == 0, done.stderr
    options = "--cache-dir /var/cache/melange --pipeline-dirs ./more --build-option docs"
    assert f"[build] melange: {options}" in done.stdout
    assert f"{elsewhere} is not in {directory}" in done.stderr


def unchanged(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Return the fields of `wanted` that differ in `found`, which may have more fields."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            item
            for key, value in wanted.items()
            for item in unchanged(value, found.get(key), f"{path}/{key}")
        ]
    # Kubernetes adds a volume for a token, and tolerations, at the end of their lists.
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) <= len(found):
        pairs = zip(wanted, found, strict=False)
        return [i for n, (a, b) in enumerate(pairs) for i in unchanged(a, b, f"{path}/{n}")]
    return [] if wanted == found else [f"{path}: {wanted!r} became {found!r}"]


def layers(repository: str, digest: str) -> Iterator[bytes]:
    """Yield what each layer of every platform has of the directory that was bundled."""
    host, name = repository.split("/", 1)
    url = f"http://{host}/v2/{name}"
    accept = {"Accept": "application/vnd.oci.image.index.v1+json"}
    index = httpx2.get(f"{url}/manifests/{digest}", headers=accept).json()
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifests = [index] if "layers" in index else index["manifests"]
    for entry in manifests:
        found = (
            entry
            if "layers" in entry
            else httpx2.get(f"{url}/manifests/{entry['digest']}", headers=accept).json()
        )
        for layer in found["layers"]:
            blob = httpx2.get(f"{url}/blobs/{layer['digest']}").content
            if blob.startswith(b"\x28\xb5\x2f\xfd"):
                blob = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(blob)).read()
            with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
                yield b"".join(
                    file.read()
                    for member in tar
                    if member.name.startswith("bundle/") and (file := tar.extractfile(member))
                )


def test_no_private_key_reaches_the_registry(dag: Dag, tmp_path: Path) -> None:
    directory = definitions(tmp_path / "d")
    (directory / "keys").mkdir()
    for kind, path in (("rsa", "melange.rsa"), ("ed25519", "keys/innocent.txt")):
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", kind, "-out", directory / path],
            check=True,
            capture_output=True,
        )
    (directory / "plain.txt").write_text("this is in the bundle\n")
    done = dag.pod(directory, "--create=false")
    assert done.returncode == 0, done.stderr
    assert "melange.rsa" in done.stderr
    assert "keys/innocent.txt" in done.stderr
    digest = yaml.safe_load(done.stdout)["metadata"]["annotations"]["dag/bundle"].split("@")[1]
    content = b"".join(layers(dag.repository, digest))
    assert b"this is in the bundle" in content
    assert b"PRIVATE KEY" not in content


@pytest.mark.parametrize("kind", ["package/%:", "packages/%.apk:"])
def test_3401_targets_fit_into_one_pod(dag: Dag, tmp_path: Path, kind: str) -> None:
    directory = Path(shutil.copytree(unpacked(TODAY), tmp_path / "d"))
    (directory / "Makefile").write_text(f"{kind} ; @echo making $@\n")
    for path in directory.glob("*.yaml"):  # some ask for more than these nodes have
        text = path.read_text()
        path.write_text(re.sub(r"^  resources:\n(?: {4}.*\n)+", "", text, flags=re.MULTILINE))
    done = dag.pod(directory, "--disk=1Gi")
    assert done.returncode == 0, done.stderr
    assert "3401 packages to make" in done.stderr
    assert "dag: make made no package: is that what its targets are for?\n" in done.stderr
    targets = made(done.stdout)
    assert len(targets) == len(set(targets)) == 3401
    assert all(target.startswith(kind.partition("%")[0]) for target in targets)
