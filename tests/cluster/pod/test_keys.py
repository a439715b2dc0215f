"""`--secret-key`: a key from the kubelet's CSI mount signs the packages and stays secret."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from cluster import secret_store
from tests.cluster.pod.test_buckets import distribution, first_process
from tests.support.apks import gzip_members
from tests.support.cluster.running import Dag, definitions

pytestmark = pytest.mark.cluster

NAME = "our-distribution"


def new_key(directory: Path) -> Path:
    """Make a key and its public key, as `melange keygen` does."""
    private = directory / f"{NAME}.rsa"
    openssl("genrsa", "-traditional", "-out", private, "2048")
    openssl("rsa", "-in", private, "-pubout", "-out", f"{private}.pub")
    return private


def openssl(*words: str | Path) -> int:
    return subprocess.run(["openssl", *words], check=False, capture_output=True).returncode


@pytest.fixture
def key(dag: Dag, tmp_path: Path) -> Path:
    """Put a key into the cluster's secret store, where the class `melange-key` finds it."""
    private = new_key(tmp_path)
    secret_store.up(dag.cluster)
    files = {"melange.rsa": private.read_bytes()}
    secret_store.put(dag.cluster, dag.namespace, "melange-key", files)
    return private


def signed_by(apk: Path, public: Path) -> bool:
    """Return whether openssl verifies the signature of the control section with `public`."""
    _, control, *_ = gzip_members(apk.read_bytes())
    with tarfile.open(apk) as tar:
        member = tar.next()
        assert member is not None
        assert member.name.startswith(".SIGN.RSA"), member.name
        file = tar.extractfile(member)
        assert file is not None
        signature = apk.with_suffix(".signature")
        signature.write_bytes(file.read())
    kind = "-sha256" if "RSA256" in member.name else "-sha1"
    signed = apk.with_suffix(".control")
    signed.write_bytes(control)
    verified = openssl("dgst", kind, "-verify", public, "-signature", signature, signed) == 0
    return verified and member.name.endswith(public.name)


@pytest.mark.parametrize("isolation", ["privileged", "userns"])
def test_the_mounted_key_signs_packages_and_index(
    dag: Dag, key: Path, tmp_path: Path, isolation: str
) -> None:
    out = tmp_path / "out"
    flags = ["--secret-key", "--signing-key-name", NAME, "--isolation", isolation]
    done = dag.pod(distribution(tmp_path / "d"), *flags, "--only", "p000", "--out", out)
    assert done.returncode == 0, done.stderr
    public = key.with_name(f"{key.name}.pub")
    assert (out / public.name).read_bytes() == public.read_bytes()
    built = sorted((out / "x86_64").glob("*.apk"))
    assert [apk.name[:4] for apk in built] == ["p000", "p000"]
    assert all(signed_by(file, public) for file in built)
    assert signed_by(out / "x86_64/APKINDEX.tar.gz", public)
    (tmp_path / "other").mkdir()
    other = new_key(tmp_path / "other")
    assert not signed_by(built[0], other.with_name(f"{other.name}.pub"))
    secret = key.read_text().splitlines()[3]
    brought = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert not [data for data in brought if secret.encode() in data]
    assert secret not in done.stdout + done.stderr


def test_a_key_is_on_memory_only_also_when_the_build_fails(
    dag: Dag, key: Path, tmp_path: Path
) -> None:
    directory = definitions(
        tmp_path / "d", {"one": []}, "all:\n\t@echo ready; grep dag-key /proc/mounts; sleep 600\n"
    )
    running = dag.start(directory, "--secret-key", "--out", tmp_path / "out")
    mount = running.await_line(r"\[build\] (\S+) /dag-key (\S+)")
    assert mount[2] == "tmpfs"
    place = Path(f"/proc/{first_process(dag, 'all')}/root/dag-key/wolfi-signing.rsa")
    assert place.read_bytes() == key.read_bytes()
    secret = key.read_text().splitlines()[3].encode()
    # The disks of nodes: all volumes of the pod that are not in memory, and what containers wrote.
    uid = dag.pod_json()["metadata"]["uid"]
    disks = [path for node in dag.cluster.nodes for path in pod_files(dag, node, uid)]
    assert disks
    assert not [path for path in disks if secret in path.read_bytes()]
    dag.kubectl("delete", "pods", "--all", "--wait=false", "--grace-period=1")
    done = running.end()
    assert done.returncode == 3
    assert secret.decode() not in done.stdout + done.stderr


def pod_files(dag: Dag, node: str, uid: str) -> list[Path]:
    """Yield every file of a pod's volumes on the disk of its node."""
    volumes = dag.cluster.directory / node / "disk" / "kubelet" / "pods" / uid / "volumes"
    place = volumes / "kubernetes.io~empty-dir"
    names = ("workspace", "cache", "tmp")
    found = [path for name in names for path in (place / name).rglob("*")]
    return [path for path in found if path.is_file() and not path.is_fifo()]


def test_what_is_missing_for_a_key_is_said_before_anything_is_pushed(
    dag: Dag, tmp_path: Path
) -> None:
    secret_store.up(dag.cluster)
    directory = definitions(tmp_path / "d")
    done = dag.pod(directory, "--secret-key", "--csi-driver=no.such.driver")
    assert done.returncode == 3
    assert "the cluster has no CSI driver no.such.driver" in done.stderr
    done = dag.pod(directory, "--secret-key")
    assert done.returncode == 3
    assert f"namespace '{dag.namespace}' has no SecretProviderClass melange-key" in done.stderr
    assert "dag setup cluster" in done.stderr
    assert dag.pods() == []
    done = dag.pod(directory, "--secret-key", "--signing-key-name=../x")
    assert done.returncode == 2


def test_a_secret_without_a_key_is_refused_by_the_build(dag: Dag, tmp_path: Path) -> None:
    secret_store.up(dag.cluster)
    secret_store.put(dag.cluster, dag.namespace, "melange-key", {"melange.rsa": b"no key\n"})
    done = dag.pod(definitions(tmp_path / "d"), "--secret-key")
    assert done.returncode == 3, done.stderr
    assert "the mounted key is no RSA key in PEM" in done.stderr
