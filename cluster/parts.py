"""The programs that are compiled from Go modules, each part once per machine.

A part is a directory `parts/NAME` with a pinned go.mod and go.sum. Its programs are kept in the
cache under a name with a hash of everything that they were made from. So a changed pin leads to a
new build, and a checkout never holds a binary.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cluster import golang
from cluster.config import HERE, cache_directory
from cluster.system import ClusterError, locked, run, step


@dataclass(frozen=True, kw_only=True)
class Binary:
    """One command of a part, and how it has to be compiled."""

    name: str
    package: str
    tags: str = ""
    variables: tuple[str, ...] = ()
    """Assignments `package.variable=value` for the linker; most of them are versions."""
    cgo: bool = False


def _kubernetes(name: str) -> Binary:
    # Without this the kubelet and kubectl call themselves v0.0.0 and warn about their age.
    version = "k8s.io/component-base/version.gitVersion=v1.34.4"
    return Binary(name=name, package=f"k8s.io/kubernetes/cmd/{name}", variables=(version,))


def _containerd(name: str) -> Binary:
    package = "github.com/containerd/containerd/v2"
    version = f"{package}/version.Version=v2.1.4"
    return Binary(name=name, package=f"{package}/cmd/{name}", variables=(version,))


_RUNC = "github.com/opencontainers/runc"
_GCS = "github.com/fsouza/fake-gcs-server"

PARTS: dict[str, tuple[Binary, ...]] = {
    "melange": (
        Binary(name="melange", package="chainguard.dev/melange"),
        Binary(name="apko-locker", package="./locker"),  # with the apko that melange has in it
    ),
    "apko": (Binary(name="apko-resolver", package="."),),
    "tools": (Binary(name="fake-gcs-server", package=_GCS),),
    "actionlint": (
        Binary(name="actionlint", package="github.com/rhysd/actionlint/cmd/actionlint"),
    ),
    "etcd": (Binary(name="etcd", package="go.etcd.io/etcd/server/v3"),),
    "containerd": (
        _containerd("containerd"),
        _containerd("containerd-shim-runc-v2"),
        # runc enters namespaces from C code that runs before Go's runtime starts.
        Binary(name="runc", package=_RUNC, tags="seccomp", cgo=True),
    ),
    "kubernetes": tuple(
        _kubernetes(name)
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kubectl",
        )
    ),
    "secrets-store": (Binary(name="secrets-store", package="."),),
    "kwok": (Binary(name="kwok", package="sigs.k8s.io/kwok/cmd/kwok"),),
    "kueue": (Binary(name="kueue", package="sigs.k8s.io/kueue/cmd/kueue"),),
    "network-policies": (Binary(name="network-policies", package="."),),
}
PREPARED = tuple(name for name in PARTS if name not in {"kueue", "network-policies"})
"""The parts that are built beforehand. `make test` does without the others; who starts one builds it."""
_SHARED = {
    "melange": ("chainguard.dev/melange", "pkg/build/pipelines", "melange/pipelines"),
    "kueue": ("sigs.k8s.io/kueue", "config/components/crd/bases", "kueue"),
}
"""What else is kept of a part: the module that has it, the directory there, and its name in `share`."""


def build(name: str) -> Path:
    """Build part `name` if it is not built, and return the directory of its commands.

    The pipelines of melange are beside it, in `../share/melange/pipelines`. Raises ClusterError if
    there is no such part, or if the compiler fails.
    """
    if name not in PARTS:
        raise ClusterError(f"no part is called {name!r}; there are {', '.join(PARTS)}")
    if os.environ.get("DAG_NO_INSTALL"):
        raise ClusterError(f"DAG_NO_INSTALL is set, so nothing may need the part {name!r}")
    target = cache_directory() / "parts" / f"{name}-{_digest(name)}"
    if not target.exists():
        with locked(target.parent / f"{name}.lock"):
            if not target.exists():
                with step(f"building {name}"):
                    _build(name, target)
    return target / "bin"


def pipelines() -> Path:
    """Return the directory of melange's built-in pipelines, of the version that `build` makes."""
    return build("melange").parent / "share" / "melange" / "pipelines"


def _digest(name: str) -> str:
    seen = hashlib.sha256(repr(PARTS[name]).encode())
    folder = HERE / "parts" / name
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        seen.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes() + b"\0")
    return seen.hexdigest()[:16]


def _build(name: str, target: Path) -> None:
    folder = HERE / "parts" / name
    go = golang.toolchain(golang.needed_by(folder / "go.mod"))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as temporary:
        root = Path(temporary) / name
        for binary in PARTS[name]:
            _compile(go, folder, binary, root / "bin" / binary.name)
        if name in _SHARED:
            module, source, shared = _SHARED[name]
            place = run(go, "list", "-m", "-f", "{{.Dir}}", module, cwd=folder).strip()
            shutil.copytree(Path(place, source), root / "share" / shared)
            # Go's module cache is read-only, so its copy could not be removed.
            run("chmod", "-R", "u+w", root)
        root.rename(target)


def _compile(go: Path, folder: Path, binary: Binary, output: Path) -> None:
    flags = " ".join(["-s", "-w", *(f"-X {variable}" for variable in binary.variables)])
    environment = {**os.environ, "CGO_ENABLED": str(int(binary.cgo)), "GOTOOLCHAIN": "local"}
    command = ["build", "-trimpath", f"-ldflags={flags}", f"-tags={binary.tags}"]
    run(go, *command, "-o", output, binary.package, cwd=folder, env=environment)
