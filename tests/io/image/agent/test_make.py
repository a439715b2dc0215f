"""The agent's image: the same from every installation, and it runs on nothing but its base."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from cluster import images, oci
from tests.support.registries import Server, base_image, registry, skopeo
from tests.support.schema import checked

# What is shared, such as the image of an installation, is made in one process.
pytestmark = [pytest.mark.installs, pytest.mark.xdist_group("agent image")]

ROOT = Path(__file__).parents[4]
UV = Path(sys.executable).parent / "uv"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def base(running: Server) -> str:
    """Push the base that the test cluster has, by tag."""
    oci.push(images.build("base"), running.host, "base", "1")
    return f"{running.host}/base:1"


@dataclass(frozen=True)
class Installed:
    """A way in which dag is installed, and a home directory of its own."""

    command: Path
    home: Path
    """Where it remembers what it has made."""

    def image(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        own = {"XDG_CACHE_HOME": str(self.home), "UV_CACHE_DIR": uv_cache(), "DAG_DEBUG": "1"}
        return subprocess.run(
            [self.command, "image", *map(str, words)],
            env={**kept, **own},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )


def uv_cache() -> str:
    done = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", place, ROOT], check=True)
    return next(place.glob("*.whl"))


def installed(place: Path, *what: str | Path) -> Installed:
    """Install dag into a new virtual environment."""
    place.mkdir()
    environment = place / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    python = environment / "bin/python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, *what], check=True)
    return Installed(environment / "bin/dag", place)


@pytest.fixture(scope="module")
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return installed(tmp_path_factory.mktemp("clean") / "a", wheel)


@pytest.fixture(scope="module")
def saved(from_wheel: Installed, base: str) -> Path:
    """Write the image of a clean installation to a file."""
    path = from_wheel.home / "agent.tar"
    done = from_wheel.image("--base", base, "--save", path)
    assert done.returncode == 0, done.stderr
    return path


def test_a_wheel_and_an_editable_checkout_give_the_same_image(
    from_wheel: Installed, base: str, tmp_path: Path
) -> None:
    editable = installed(tmp_path / "b", "--editable", ROOT)
    first, second = from_wheel.image("--base", base), editable.image("--base", base)
    assert first.returncode == 0, first.stderr
    assert second.stdout == first.stdout
    assert second.stdout.startswith("sha256:")


def test_what_is_pushed_is_what_is_saved(
    from_wheel: Installed, running: Server, base: str, saved: Path
) -> None:
    done = from_wheel.image("--base", base, "--push", f"{running.host}/me/agent")
    assert done.returncode == 0, done.stderr
    digest = from_wheel.image("--base", base).stdout.strip()
    assert done.stdout.strip() == f"{running.host}/me/agent@{digest}"
    with tarfile.open(saved) as archive:
        index = json.load(archive.extractfile("./index.json") or sys.stdin)
    assert [one["digest"] for one in index["manifests"]] == [digest]
    skopeo("inspect", f"oci-archive:{saved}")
    again = from_wheel.image("--base", base, "--push", f"{running.host}/me/agent", "--json")
    assert " 0 bytes sent" in again.stderr
    told = checked(again.stdout, "image")
    assert (told["digest"], told["image"]) == (digest, done.stdout.strip())


def layers(saved: Path) -> Iterator[tarfile.TarFile]:
    """Open each layer of a saved image, lowest first."""
    with tarfile.open(saved) as archive:

        def blob(digest: str) -> bytes:
            file = archive.extractfile(f"./blobs/{digest.replace(':', '/')}")
            assert file is not None
            return file.read()

        index_file = archive.extractfile("./index.json")
        assert index_file is not None
        index = json.loads(blob(json.load(index_file)["manifests"][0]["digest"]))
        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        for number, layer in enumerate(manifest["layers"]):
            data = blob(layer["digest"])
            if layer["mediaType"].endswith("+zstd"):
                data = zstandard.ZstdDecompressor().decompress(data)
            path = saved.with_suffix(f".{number}")
            path.write_bytes(data)
            with tarfile.open(path) as layer_archive:
                yield layer_archive


def test_nothing_in_it_tells_of_the_machine(from_wheel: Installed, saved: Path) -> None:
    assert len(list(layers(saved))) == 3  # the base's, the wheels, and dag itself
    traces = [str(ROOT), str(from_wheel.home), "/tmp/dag-wheels", sys.prefix]
    names = set()
    for number in (1, 2):
        with tarfile.open(saved.with_suffix(f".{number}")) as archive:
            for member in archive.getmembers():
                names.add(member.name)
                assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
                if member.isfile():
                    file = archive.extractfile(member)
                    assert file is not None
                    data = file.read()
                    assert not [one for one in traces if one.encode() in data], member.name
    assert not [name for name in names if name.startswith("agent/bin") or "direct_url" in name]
    tag = sys.implementation.cache_tag
    assert f"agent/dag/cli/__pycache__/main.{tag}.pyc" in names
    assert f"agent/rich/__pycache__/table.{tag}.pyc" in names
    assert {"agent/dag/agent.lock", "agent/dag/core/build/build.sh"} <= names


def test_it_runs_on_its_base_alone(saved: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for archive in layers(saved):
        archive.extractall(root, filter="tar")
    (root / "bundle").mkdir()
    (root / "bundle/Makefile").write_text("all:\n")
    environment = {"PATH": "/usr/bin", "PYTHONPATH": "/agent", "PYTHONDONTWRITEBYTECODE": "1"}
    command = ("python3", "-P", "-m", "dag", "agent", "unpack", "/bundle", "/workspace")
    done = subprocess.run(
        ["/usr/sbin/chroot", root, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (root / "workspace/Makefile").read_text() == "all:\n"
    imports = "import google.cloud.storage, obstore, cryptography, re2, zstandard, httpx2"
    subprocess.run(
        ["/usr/sbin/chroot", root, "python3", "-c", imports], env=environment, check=True
    )


def test_what_cannot_carry_dag_is_refused(
    from_wheel: Installed, running: Server, tmp_path: Path
) -> None:
    base_image(tmp_path / "layout")
    name = f"{running.host}/library/other:1"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path}/layout", f"docker://{name}")
    done = from_wheel.image("--base", name)
    assert done.returncode == 2
    assert f"{name} (amd64) has no python3 in /usr/local/bin or /usr/bin" in done.stderr


def test_the_base_of_the_test_cluster_is_the_same_when_it_is_made_again(tmp_path: Path) -> None:
    made = images.build("base")
    images.make("base", tmp_path / "again")
    assert (tmp_path / "again/index.json").read_text() == (made / "index.json").read_text()
