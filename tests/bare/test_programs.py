"""A missing program leads to a sentence on standard error, and not to a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.process import Process
from cluster.system import ClusterError, explained, run, succeeds

CHECKOUT = Path(__file__).resolve().parents[2]
APT = CHECKOUT / "scripts" / "apt"
MISSING = "no-such-program is not installed"


def test_work_that_needs_a_missing_program_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match=MISSING):
        run("no-such-program", "--flag")
    monkeypatch.setenv("DAG_CLUSTER_DIR", "/nonexistent")
    with pytest.raises(ClusterError, match=MISSING):
        Process("x").start(["no-such-program"])


def test_question_to_a_missing_program_is_answered_with_no() -> None:
    assert not succeeds("no-such-program")
    assert not succeeds("false")
    assert succeeds("true")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ClusterError("a sentence"), 1, "error: a sentence\n"),
        (PermissionError(13, "Permission denied", "/a/file"), 1, "'/a/file'\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_command_explains_its_failure(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert explained(fail) == code
    assert capsys.readouterr().err.endswith(said)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a PATH with a shell, to which a test can add programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to(str(shutil.which("sh")))
    return folder


def apt(programs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [programs / "sh", APT, *words],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )


def script(path: Path, text: str) -> None:
    path.write_text(f"#!{shutil.which('sh')}\n{text}\n")
    path.chmod(0o755)


def test_machine_without_apt_is_told_what_to_install(programs: Path) -> None:
    assert apt(programs, "--missing", "make", "git").stdout.split() == ["make", "git"]
    refused = apt(programs, "make", "git")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "no apt-get to install them: make git" in refused.stderr


def test_user_without_sudo_is_told_what_root_has_to_do(programs: Path) -> None:
    script(programs / "apt-get", "exit 1")
    script(programs / "id", "echo 1000")
    script(programs / "dpkg-query", '[ "$4" = git ] && echo -n installed')
    refused = apt(programs, "make", "git")
    assert refused.returncode == 3
    assert refused.stderr.endswith("as root: apt-get install make\n")


def test_command_line_says_it_in_a_sentence(programs: Path) -> None:
    """The sources need git, which is neither installed nor available."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.sources", "--print"],
        cwd=CHECKOUT,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("installing git with apt …\nerror: ")
    assert "no apt-get to install them: git" in done.stderr
