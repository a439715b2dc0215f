"""What goes into the agent's image, and on which bases it can be made."""

from __future__ import annotations

import marshal
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dag.core.image.agent import (
    PYTHON,
    BaseFacts,
    FactFinder,
    default_base,
    defaults,
    is_kept,
    with_byte_code,
)
from dag.core.image.archive import File, file_of
from dag.core.image.bytecode import byte_code, byte_code_path
from dag.core.image.references import parse_reference
from dag.errors import UsageError


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("rich/table.py", True),
        ("google/cloud/storage/blob.py", True),
        ("cryptography/hazmat/bindings/_rust.abi3.so", True),
        ("rich-15.0.0.dist-info/METADATA", True),
        ("rich-15.0.0.dist-info/entry_points.txt", True),
        ("rich/direct_url.json", True),
        ("rich-15.0.0.dist-info/direct_url.json", False),
        ("rich-15.0.0.dist-info/RECORD", False),
        ("rich-15.0.0.dist-info/INSTALLER", False),
        ("bin/pygmentize", False),
        (".lock", False),
        ("rich/__pycache__/table.cpython-311.pyc", False),
    ],
)
def test_programs_and_traces_of_the_machine_stay_out(path: str, kept: bool) -> None:
    assert is_kept(path) is kept


def finder(*names: str) -> FactFinder:
    found = FactFinder()
    for name in names:
        found.wants(name)
    return found


@pytest.mark.parametrize(
    ("names", "facts"),
    [
        (["usr/bin/python3.11"], BaseFacts("3.11")),
        (["./usr/bin/python3.11", "./usr/local/bin/python3.13"], BaseFacts("3.13")),
        (["opt/python3.9", "usr/bin/python3"], BaseFacts()),
        (["lib/x86_64-linux-gnu/libc-2.31.so"], BaseFacts(glibc="2.31")),
        (["lib64/libc-2.17.so"], BaseFacts(glibc="2.17")),
        (["lib/ld-musl-x86_64.so.1"], BaseFacts(musl=True)),
    ],
)
def test_names_of_files_tell_of_python_and_libc(names: list[str], facts: BaseFacts) -> None:
    assert finder(*names).facts() == facts


def test_a_c_library_tells_its_version() -> None:
    found = FactFinder()
    assert found.wants("usr/lib/aarch64-linux-gnu/libc.so.6")
    assert not found.wants("usr/share/doc/libc.so.6")
    found.take(b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n")
    assert found.facts().glibc == "2.36"


def test_a_base_that_could_not_run_dag_is_refused_with_the_reason() -> None:
    BaseFacts(PYTHON, "2.28").check("base")
    for facts, why in (
        (BaseFacts(), "has no python3"),
        (BaseFacts("3.9", "2.36"), "has Python 3.9, and dag runs on"),
        (BaseFacts(PYTHON, "", musl=True), "has musl in the place of glibc"),
        (BaseFacts(PYTHON, "2.17"), "has glibc 2.17, and dag's wheels need 2.28"),
    ):
        with pytest.raises(UsageError, match=why):
            facts.check("base")


def test_the_default_base_is_named_by_digest() -> None:
    assert parse_reference(default_base()).digest


def test_the_environment_of_the_base_stays() -> None:
    config = {"config": {"Env": ["PATH=/usr/local/bin", "PYTHONPATH=/old"], "Labels": {"a": "b"}}}
    found = defaults(config, "0123")
    assert found["Env"] == [
        "PATH=/usr/local/bin",
        "PYTHONPATH=/agent",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUNBUFFERED=1",
    ]
    assert defaults({}, "0123")["Labels"] == {"dag.agent": "0123"}


ROOT = Path(__file__).parents[3]
SOURCE = b"""\
import sys
NAMES = frozenset({"a", "b", "c"}), ("a", 1, None, 2.5)
def shown(value, *, width=80):
    return f"{value:>{width}} {sys.version} {[name for name in NAMES]}"
"""


def test_byte_code_is_the_same_in_every_process(tmp_path: Path) -> None:
    here = byte_code(SOURCE, "/agent/a.py")
    script = (
        "import sys; from dag.core.image.bytecode import byte_code;"
        "held = ['shown', 'value', 'width', 'NAMES'];"  # what marshal would tell of
        "sys.stdout.buffer.write(byte_code(sys.stdin.buffer.read(), '/agent/a.py'))"
    )
    for seed in ("1", "2"):
        other = subprocess.run(
            [sys.executable, "-c", script],
            input=SOURCE,
            env={"PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert other.stdout == here


def test_python_takes_the_byte_code_without_looking_at_the_source(tmp_path: Path) -> None:
    source = b"ANSWER = 'from the byte code'\n"
    code = byte_code(source, "/agent/a.py")
    assert code is not None
    assert marshal.loads(code[16:]).co_filename == "/agent/a.py"
    place = tmp_path / byte_code_path("a.py")
    place.parent.mkdir()
    place.write_bytes(code)
    (tmp_path / "a.py").write_text("ANSWER = 'from the source'\n")
    done = subprocess.run(
        [sys.executable, "-c", "import a; print(a.ANSWER)"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "from the byte code\n"


def test_what_is_no_python_has_no_byte_code() -> None:
    files: list[File] = [file_of("a/b.py", b"x = 1\n"), file_of("t.py", b"{{ name }} = 1 1\n")]
    paths = [entry.path for entry in with_byte_code(files)]
    assert paths == ["a/b.py", byte_code_path("a/b.py"), "t.py"]


def locked(path: Path) -> dict[str, str]:
    """Return the versions that a lock file pins."""
    found = re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE)
    return dict(found)


def test_the_lock_of_the_agent_has_what_dag_needs_in_the_versions_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split("[><=]", one)[0].lower() for one in project["dependencies"]}
    agent, ours = locked(ROOT / "src/dag/agent.lock"), locked(ROOT / "requirements.lock")
    assert needed - {"uv"} <= agent.keys()  # uv makes the image, and has no place in it
    assert "uv" not in agent
    assert {name: ours.get(name) for name in agent} == agent
