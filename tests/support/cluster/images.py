"""Images for tests: busybox, and the files that a test adds."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster import Cluster, oci

BUSYBOX = Path("/bin/busybox")


def busybox_image(
    cluster: Cluster,
    place: Path,
    name: str,
    *,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, Path] | None = None,
    architecture: str = "amd64",
    busybox: Path = BUSYBOX,
) -> str:
    """Push busybox with its applets and `files`, by path in the image; return the digest."""
    root, layer = place / name, place / f"{name}.tar"
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for path, file in {"bin/busybox": busybox, **(files or {})}.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    for applet in set(applets.stdout.split()) - {"busybox"}:
        if not (root / "bin" / applet).exists():
            (root / "bin" / applet).symlink_to("busybox")
    subprocess.run(["tar", "-C", root, "-cf", layer, "."], check=True)
    layout = place / f"{name}.layout"
    oci.write_layout(layout, layer, {"Env": ["PATH=/bin"], **(config or {})}, architecture)
    return oci.push(layout, cluster.registry, name, architecture)


@contextmanager
def plain_http(cluster: Cluster, port: int) -> Iterator[None]:
    """Let the nodes pull from a registry at this port of the machine without TLS."""
    host = f"127.0.0.1:{port}"
    places = [cluster.directory / node / "certs.d" / host for node in cluster.nodes]
    try:
        for place in places:
            place.mkdir()
            (place / "hosts.toml").write_text(f'server = "http://{host}"\n')
        yield
    finally:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
