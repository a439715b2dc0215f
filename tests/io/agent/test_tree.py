"""What an image carries is laid out in a volume."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.errors import InfrastructureError
from dag.run.agent.unpack import unpack


def test_files_links_and_modes_come_as_they_are(tmp_path: Path) -> None:
    source, target = tmp_path / "bundle", tmp_path / "workspace"
    (source / "below/empty").mkdir(parents=True)
    (source / ".hidden").write_text("hidden")
    (source / "below/run.sh").touch(0o755)
    (source / "link").symlink_to("below/run.sh")
    (source / "nowhere").symlink_to("../nothing")
    (source / "below/run.sh").chmod(0o700)
    (source / ".hidden").chmod(0o600)
    target.mkdir()
    unpack(source, target, [])
    assert (target / ".hidden").read_text() == "hidden"
    assert (target / ".hidden").stat().st_mode & 0o777 == 0o644
    assert (target / "below/run.sh").stat().st_mode & 0o777 == 0o755
    assert (target / "link").readlink() == Path("below/run.sh")
    assert (target / "nowhere").readlink() == Path("../nothing")
    assert (target / "below/empty").is_dir()
    assert (target / ".hidden").stat().st_mtime >= (source / ".hidden").stat().st_mtime


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/a").touch()
    (tmp_path / "workspace/a").mkdir(parents=True)
    with pytest.raises(InfrastructureError, match=r"workspace/a: Is a directory"):
        unpack(tmp_path / "bundle", tmp_path / "workspace", [])
