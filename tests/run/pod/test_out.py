"""What a pod serves to `--out`: its packages come, and whatever else it names or sends stays out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dag.core import limits
from dag.core.limits import Limit
from dag.errors import BuildError, DagError, InfrastructureError
from dag.io.kube.api import Kube
from dag.report.terminal import Terminal
from dag.run.pod import out
from dag.run.pod.out import OutTarget, fetch_packages, parse_listing, prepare_directory
from tests.support.faults import Origin

POD = "/api/v1/namespaces/n/pods/dag-x"
PROXY = f"{POD}:8017/proxy"
APK = "packages/x86_64/a-1-r0.apk"
KEY = "melange.rsa.pub"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "definitions").mkdir()
    prepare_directory(tmp_path / "built", tmp_path / "definitions")
    return tmp_path / "built"


def serve(origin: Origin, files: dict[str, bytes]) -> None:
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()]
    origin.put(f"{PROXY}/list-r", "".join(lines).encode())
    for name, data in files.items():
        origin.put(f"{PROXY}/r/{name}", data)
    origin.put(f"{PROXY}/r/log", b"the log\n")
    origin.put(f"{PROXY}/end-r", b"")


async def fetch(kube: Kube, directory: Path, label: str = "") -> DagError | None:
    return await fetch_packages(kube, POD, "r", OutTarget(directory, "x86_64", label), Terminal())


def written(directory: Path) -> set[str]:
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    return found - {".dag-out"}


async def test_packages_their_index_and_the_key_come_and_what_else_is_there_stays(
    origin: Origin, kube: Kube, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = "packages/x86_64/APKINDEX.tar.gz"
    more = "packages/x86_64/a-1-r0.attest.tar.gz"
    foreign = "packages/aarch64/a-1-r0.apk"
    serve(origin, {APK: b"a", index: b"i", KEY: b"k", more: b"m", foreign: b"f"})
    assert await fetch(kube, built) is None
    assert written(built) == {"x86_64/a-1-r0.apk", "x86_64/APKINDEX.tar.gz", KEY, "build.log"}
    assert f"2 files in packages/ that are no packages for x86_64 stay in the pod: {more}, " in (
        capsys.readouterr().err
    )
    assert await fetch(kube, built, "x86_64") is None
    assert (built / "x86_64" / KEY).read_bytes() == b"k"


@pytest.mark.parametrize(
    "name",
    [
        "packages//etc/x",
        "/etc/x",
        "../x",
        "packages/../x",
        "packages/x86_64/../../x",
        "packages/./x86_64/a-1-r0.apk",
        "packages/.dag/key/melange.rsa",
        "packages/x86_64/.a-1-r0.apk",
        "log",
        "build.log",
        ".dag-out",
        ".pub",
        "a/b.pub",
        "melange.rsa",
        "packages/x86_64/\x1b[2Ja-1-r0.apk/../../x",
    ],
)
async def test_a_name_that_no_build_leaves_is_refused_before_anything_comes(
    origin: Origin, kube: Kube, built: Path, name: str
) -> None:
    serve(origin, {APK: b"a"})
    digest = hashlib.sha256(b"evil").hexdigest()
    lines = f"{hashlib.sha256(b'a').hexdigest()}  {APK}\n{digest}  {name}\n"
    origin.put(f"{PROXY}/list-r", lines.encode())
    error = await fetch(kube, built)
    assert isinstance(error, BuildError)
    assert repr(name) in error.message
    assert written(built) == set()


@pytest.mark.parametrize(
    ("path", "name", "of"),
    [
        ("list-r", "", "16 MiB for a pod's list of its packages"),
        (f"r/{APK}", "x86_64/a-1-r0.apk", "1 MiB for a package"),
        (f"r/{KEY}", KEY, "64 KiB for a public key"),
    ],
)
async def test_a_pod_that_sends_without_end_is_left(
    origin: Origin,
    kube: Kube,
    built: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    name: str,
    of: str,
) -> None:
    monkeypatch.setattr(out, "BUILT_PACKAGE", Limit("a package", 1 << 20))
    serve(origin, {APK: b"a", KEY: b"k"})
    origin.endless(f"{PROXY}/{path}")
    error = await fetch(kube, built)
    assert isinstance(error, InfrastructureError)
    assert error.message == f"the pod sends more than {of}"
    # The other file came at the same time, so it may be there.
    assert name not in written(built)


async def test_a_pod_that_says_goodbye_without_end_is_left(
    origin: Origin, kube: Kube, built: Path
) -> None:
    serve(origin, {APK: b"a"})
    origin.endless(f"{PROXY}/end-r")
    error = await fetch(kube, built)
    assert error is not None
    assert str(limits.OUT_ANSWER) in error.message


async def test_nothing_is_written_through_a_link(
    origin: Origin, kube: Kube, built: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("mine")
    serve(origin, {APK: b"a", KEY: b"k"})
    (built / KEY).symlink_to(elsewhere / "kept")
    (built / "build.log").symlink_to(elsewhere / "kept")
    (built / ".dag-out").unlink()
    (built / ".dag-out").symlink_to(elsewhere / "kept")
    prepare_directory(built, tmp_path / "definitions")
    assert await fetch(kube, built) is None
    assert (elsewhere / "kept").read_text() == "mine"
    assert (built / KEY).read_bytes() == b"k"
    (built / "x86_64/a-1-r0.apk").unlink()
    (built / "x86_64").rmdir()
    (built / "x86_64").symlink_to(elsewhere)
    for label in ("", "x86_64"):
        error = await fetch(kube, built, label)
        assert error is not None
        assert "is a link, and --out writes through none" in error.message
        serve(origin, {})
    assert written(elsewhere) == {"kept"}


def test_an_odd_line_is_no_listing() -> None:
    for line in ("no digest", f"{'0' * 64} one-blank", f"{'0' * 64}  {APK}\n\n"):
        with pytest.raises(InfrastructureError, match="odd line"):
            parse_listing(line, "x86_64")
    assert parse_listing("", "x86_64").files == {}
