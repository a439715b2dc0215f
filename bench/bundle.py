"""Push a directory of 3,401 definitions again after one file changed: by `dag`, and as one layer.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/bundle.py

The peers put the whole directory into one layer of an image, as is usual: `skopeo` gets a layer
from `tar | gzip`, and `buildah` copies, commits and pushes. They take turns with one registry on
this machine. Each run is a process of its own, measured from its start to its end. The bytes are
those that the registry has stored. The exit code is 1 if `dag` needs more than 1/10 of the bytes,
or 1/3 of the time, of a push with buildah.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from cluster.system import explained  # noqa: E402
from tests.support.distributions import TODAY, unpacked  # noqa: E402
from tests.support.registries import Server, apt, base_image, registry, skopeo  # noqa: E402

ROUNDS = 5

OURS = """
import sys
from dag.io.image.bundle import push_bundle
from dag.io.image.tree import definitions_tree
directory, repository, base = sys.argv[1:]
pushed = push_bundle(repository, definitions_tree(directory).entries, base=base)
print(pushed.bytes_uploaded, pushed.layers_uploaded)
"""


@dataclass
class Runs:
    """Wall time and processor time in seconds, and the bytes that the registry got, by round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def measure(self, server: Server, push: Callable[[], None]) -> None:
        """Push once, and add the time and the bytes of that."""
        before = server.blobs()
        used, start = _children(), time.monotonic()
        push()
        self.wall.append(time.monotonic() - start)
        self.cpu.append(_children() - used)
        new = server.blobs().items() - before.items()
        self.sent.append(sum(size for _, size in new))

    def show(self, name: str) -> str:
        """Return a line with the median of each number."""
        return (
            f"{name:<18} {statistics.median(self.wall):6.2f} s  "
            f"{statistics.median(self.cpu):6.2f} s of processor  "
            f"{statistics.median(self.sent):10,.0f} bytes"
        )


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ours(directory: Path, repository: str, base: str) -> None:
    subprocess.run(
        [sys.executable, "-c", OURS, directory, repository, base],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def whole_layer(directory: Path, work: Path, repository: str) -> None:
    """Push with skopeo what tar and gzip made, which is the cheapest way to send one layer."""
    layer = work / "layer"
    with layer.open("wb") as output:
        tar = subprocess.Popen(["tar", "-C", directory, "-cf", "-", "."], stdout=subprocess.PIPE)
        subprocess.run(["gzip", "-n"], stdin=tar.stdout, stdout=output, check=True)
        assert tar.wait() == 0
    packed = layer.read_bytes()
    blobs = work / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def blob(data: bytes, kind: str) -> dict[str, object]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        media_type = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    diff_id = f"sha256:{hashlib.sha256(gzip.decompress(packed)).hexdigest()}"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": [blob(packed, "layer.v1.tar+gzip")],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")],
    }
    (work / "layout" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (work / "layout" / "index.json").write_text(json.dumps(index))
    skopeo(
        *("copy", "--dest-tls-verify=false"),
        *(f"oci:{work}/layout", f"docker://{repository}:whole"),
    )


def buildah(directory: Path, work: Path, repository: str) -> None:
    """Copy, commit and push with buildah, as for a Containerfile with one COPY."""
    places = ("--root", work / "storage", "--runroot", work / "run")

    def run(*arguments: str | Path) -> str:
        return subprocess.run(
            ["buildah", *places, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    container = run("from", "scratch")
    run("copy", "--quiet", container, directory, "/bundle")
    image = run("commit", "--quiet", "--rm", container)
    run("push", "--quiet", "--tls-verify=false", image, f"docker://{repository}:whole")
    run("rmi", image)


def main() -> int:
    definitions = unpacked(TODAY)
    apt("buildah", "skopeo")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        os.environ |= {"XDG_CACHE_HOME": str(work / "cache"), "DOCKER_CONFIG": str(work)}
        (work / "config.json").write_text("{}")  # buildah does not run without one
        directory = work / "definitions"
        shutil.copytree(definitions, directory)
        digest = base_image(work / "base")
        with registry(work / "registry") as server:
            base = f"{server.host}/library/base:1"
            skopeo(
                *("copy", "--all", "--dest-tls-verify=false"),
                *(f"oci:{work}/base", f"docker://{base}"),
            )
            pushes: dict[str, Callable[[], None]] = {
                "dag": lambda: ours(directory, f"{server.host}/ours", f"{base}@{digest}"),
                "tar, gzip, skopeo": lambda: whole_layer(directory, work, f"{server.host}/skopeo"),
                "buildah": lambda: buildah(directory, work, f"{server.host}/buildah"),
            }
            first = {name: Runs() for name in pushes}
            again = {name: Runs() for name in pushes}
            for name, push in pushes.items():
                first[name].measure(server, push)
            for number in range(ROUNDS):
                # Each round changes another file, because the layers of files differ in size.
                definition = sorted(directory.glob("*.yaml"))[number * 701 + 5]
                definition.write_text(f"{definition.read_text()}\n# {number}\n")
                for name, push in pushes.items():
                    again[name].measure(server, push)
    return report(first, again)


def report(first: dict[str, Runs], again: dict[str, Runs]) -> int:
    print("first push")
    for name, runs in first.items():
        print("  " + runs.show(name))
    print(f"one file changed (median of {ROUNDS})")
    for name, runs in again.items():
        print("  " + runs.show(name))
    mine = again.pop("dag")
    for name, runs in again.items():
        # Ratios are taken within a round, so that a busy moment of the machine affects both.
        wall = statistics.median(a / b for a, b in zip(mine.wall, runs.wall, strict=True))
        cpu = statistics.median(a / b for a, b in zip(mine.cpu, runs.cpu, strict=True))
        sent = max(a / b for a, b in zip(mine.sent, runs.sent, strict=True))
        print(
            f"dag / {name}: {sent:.3f} of the bytes (worst round),"
            f" {wall:.2f} of the time, {cpu:.2f} of the processor's"
        )
        if name == "buildah" and (sent > 1 / 10 or wall > 1 / 3):
            print("too much: at most 1/10 of the bytes and 1/3 of the time")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(explained(lambda: sys.exit(main())))
