"""The images that the cluster needs, each made once per machine from Debian packages.

`pause` keeps a pod's namespaces open, `base` has the Python below the agent and bundles, `sdk` builds
packages.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import oci, parts, python
from cluster.config import HERE, REGISTRY, cache_directory
from cluster.system import locked, run, step

if TYPE_CHECKING:
    from collections.abc import Callable

SUITE = "bookworm"
SDK_PACKAGES = ("bubblewrap", "ca-certificates", "git", "make", "openssl")
_BUSYBOX = Path("/bin/busybox")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PAUSE = """\
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int number) { (void)number; _exit(0); }
static void reap(int number) { (void)number; while (waitpid(-1, 0, WNOHANG) > 0) continue; }

int main(void) {
  signal(SIGINT, leave);
  signal(SIGTERM, leave);
  signal(SIGCHLD, reap);
  for (;;) pause();
}
"""


def _pause(root: Path) -> dict[str, object]:
    source = root.with_suffix(".c")
    source.write_text(_PAUSE)
    run("gcc", "-static", "-Os", "-s", "-o", root / "pause", source)
    return {"Entrypoint": ["/pause"]}


def _base(root: Path) -> dict[str, object]:
    python.unpack(root)
    for folder in ("tmp", "root"):
        (root / folder).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    _add_busybox(root)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    return {"Cmd": ["/bin/sh"], "Env": [_PATH]}


def _add_busybox(root: Path) -> None:
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy(_BUSYBOX, root / "bin" / "busybox")
    for applet in run(_BUSYBOX, "--list").split():
        if not (root / "bin" / applet).exists():
            (root / "bin" / applet).symlink_to("busybox")


def _sdk(root: Path) -> dict[str, object]:
    included = f"--include={','.join(SDK_PACKAGES)}"
    run("debootstrap", "--variant=minbase", included, SUITE, root)
    for useless in ("dev", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt"):
        shutil.rmtree(root / useless)
        (root / useless).mkdir()
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / "var/lib/apt/lists").mkdir()
    with (root / "etc/passwd").open("a") as file:
        file.write("build:x:1000:1000::/home/build:/bin/bash\n")
    with (root / "etc/group").open("a") as file:
        file.write("build:x:1000:\n")
    home = root / "home" / "build"
    home.mkdir()
    shutil.chown(home, 1000, 1000)
    melange = parts.build("melange")
    shutil.copy(melange / "melange", root / "usr/bin/melange")
    shutil.copytree(parts.pipelines(), root / "usr/share/melange/pipelines")
    return {"Cmd": ["/bin/bash"], "Env": [_PATH]}


_RECIPES: dict[str, Callable[[Path], dict[str, object]]] = {
    "pause": _pause,
    "base": _base,
    "sdk": _sdk,
}
NAMES = tuple(_RECIPES)


def reference(name: str) -> str:
    """Return the name by which nodes and the host pull image `name`."""
    return f"{REGISTRY}/{name}:1"


def build(name: str) -> Path:
    """Make sure that image `name` is built; return the directory of its OCI layout."""
    layout = cache_directory() / "images" / f"{name}-{_digest(name)}"
    if not layout.exists():
        with locked(layout.parent / f"{name}.lock"):
            if not layout.exists():
                with step(f"making image {name}"):
                    make(name, layout)
    return layout


def push(name: str) -> None:
    """Put image `name` into the registry."""
    oci.push(build(name), REGISTRY, name, "1")


def _digest(name: str) -> str:
    seen = hashlib.sha256((HERE / "images.py").read_bytes())
    match name:
        case "base":
            seen.update(_BUSYBOX.read_bytes() + python.recipe())
        case "sdk":
            seen.update(parts.build("melange").parent.name.encode())
    return seen.hexdigest()[:16]


def make(name: str, layout: Path) -> None:
    """Make image `name` anew, in the directory `layout`."""
    with tempfile.TemporaryDirectory(dir=layout.parent, prefix=f".{name}-") as temporary:
        root = Path(temporary) / "root"
        root.mkdir()
        config = _RECIPES[name](root)
        layer = Path(temporary) / "layer.tar"
        same = ("--sort=name", "--mtime=@0", "--numeric-owner")
        run("tar", "-C", root, *same, "-cf", layer, ".")
        finished = Path(temporary) / "layout"
        oci.write_layout(finished, layer, config)
        finished.rename(layout)
