"""The command `make release`: what a release is made of, built twice, compared, and tried.

It builds HEAD, not what lies in the checkout. In `dist/` it leaves the wheel, the source archive, a
list of all that the wheel needs (an SBOM of CycloneDX), and the SHA-256 sums of these. It publishes
nothing and makes no tag.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
BIN = Path(sys.executable).parent
COMMANDS = (("version", "--json"), ("--help",), ("build", "--help"), ("completion", "bash"))
"""What a fresh installation is asked."""


class ReleaseError(Exception):
    """What keeps this from being a release."""


def main() -> None:
    """Make the release. Raises ReleaseError, which says what is wrong."""
    if _git("status", "--porcelain", "--untracked-files=no"):
        _say("changes that are not committed are not in it, because HEAD is built")
    with tempfile.TemporaryDirectory(prefix="dag-release-") as temporary:
        place = Path(temporary)
        first, second = (build(place / name, mask) for name, mask in (("a", 0o022), ("b", 0o077)))
        compare(first, second)
        wheel = next(first.glob("*.whl"))
        version = wheel.name.split("-")[1]
        check_changelog(_git("show", "HEAD:CHANGELOG.md"), version)
        source = source_of(first.parent)
        environment = _install(place / "venv", wheel, source / "requirements.lock")
        _try(environment)
        bill = first / f"{wheel.stem}.cdx.json"
        _write_sbom(environment, source / "pyproject.toml", bill, version)
        _write_sums(first)
        shutil.rmtree(DIST, ignore_errors=True)
        shutil.copytree(first, DIST)
    for path in sorted(DIST.iterdir()):
        print(f"{path.stat().st_size:>10,} bytes  {path.relative_to(ROOT)}")
    _say(f"two builds gave the same bytes; `git tag v{version}` makes it a release")


def source_of(place: Path) -> Path:
    """Return where the source of HEAD is after it was built in `place`."""
    return place / "source"


def build(place: Path, mask: int) -> Path:
    """Build HEAD in a directory of its own, where files are made with this mask of modes."""
    source = source_of(place)
    source.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", "HEAD"], check=True, stdout=subprocess.PIPE
    ).stdout
    # By default root gives files the modes that the archive has, whatever the mask.
    unpack: list[str | Path] = ["tar", "--no-same-permissions", "-xC", source]
    subprocess.run(unpack, input=archive, check=True, umask=mask)
    out = place / "dist"
    # The wheel is made from the source archive, so that also shows that this one is whole.
    subprocess.run(
        [
            BIN / "uv",
            "build",
            "--quiet",
            "--no-build-isolation",
            "--python",
            sys.executable,
            "--out-dir",
            out,
            source,
        ],
        check=True,
        umask=mask,
        env={**os.environ, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct")},
    )
    (out / ".gitignore").unlink(missing_ok=True)
    return out


def compare(first: Path, second: Path) -> None:
    """Compare two builds. Raises ReleaseError if a file of them differs."""
    sums = [{path.name: _sha256(path) for path in one.iterdir()} for one in (first, second)]
    if sums[0] != sums[1]:
        raise ReleaseError(f"two builds of one commit differ: {sums[0]} and {sums[1]}")
    kinds = sorted(Path(name).suffix for name in sums[0])
    if kinds != [".gz", ".whl"]:
        raise ReleaseError(f"a wheel and a source archive were expected, not {sorted(sums[0])}")


def check_changelog(changelog: str, version: str) -> None:
    """Raise ReleaseError unless the newest section of the changelog is that of this version."""
    latest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    if latest is None or latest[1] != version:
        found = latest[1] if latest else "nothing"
        raise ReleaseError(f"CHANGELOG.md begins with {found}, and this is version {version}")


def _install(environment: Path, wheel: Path, lock: Path) -> Path:
    """Install the wheel with the locked versions of what it needs, and nothing else."""
    uv = BIN / "uv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    subprocess.run(
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            environment / "bin/python",
            wheel,
            "--constraint",
            lock,
        ],
        check=True,
    )
    return environment


def _try(environment: Path) -> None:
    dag = environment / "bin/dag"
    for words in COMMANDS:
        done = subprocess.run(
            [dag, *words], cwd=environment, capture_output=True, text=True, check=False
        )
        if done.returncode or done.stderr or not done.stdout:
            raise ReleaseError(f"dag {' '.join(words)}: {done.returncode}, {done.stderr}")
    if not (environment / "share/man/man1/dag-build.1").exists():
        raise ReleaseError("the wheel has no manual pages")


def _write_sbom(environment: Path, project: Path, path: Path, version: str) -> None:
    subprocess.run(
        [
            BIN / "cyclonedx-py",
            "environment",
            "--output-reproducible",
            "--validate",
            "--pyproject",
            project,
            "--mc-type",
            "application",
            "--output-file",
            path,
            environment,
        ],
        check=True,
    )
    bill = json.loads(path.read_bytes())
    bill["metadata"]["component"]["version"] = version  # which pyproject.toml does not have
    path.write_text(f"{json.dumps(bill, indent=2)}\n")


def _write_sums(directory: Path) -> None:
    lines = [f"{_sha256(path)}  {path.name}\n" for path in sorted(directory.iterdir())]
    (directory / "SHA256SUMS").write_text("".join(lines))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", ROOT, *words], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


def _say(text: str) -> None:
    print(f"release: {text}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except ReleaseError as error:
        sys.exit(f"release: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"release: {error.cmd[0]} ended with {error.returncode}")
