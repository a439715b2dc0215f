"""Which tables of `dag.toml` a command goes by."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.cli import doctor, pod
from dag.cli.settings import read_settings
from dag.errors import UsageError


def test_doctor_goes_by_what_pod_is_told_and_by_its_own_table_first(tmp_path: Path) -> None:
    text = 'cpu = "1"\nram = "1Gi"\n[pod]\ncpu = "2"\ndisk = "3Gi"\n[doctor]\ndisk = "4Gi"\n'
    (tmp_path / "dag.toml").write_text(text)
    of_pod = {"cpu": "2", "ram": "1Gi", "disk": "3Gi"}
    assert read_settings(str(tmp_path), pod.command) == of_pod
    assert read_settings(str(tmp_path), doctor.command) == {**of_pod, "disk": "4Gi"}


def test_a_key_that_pod_does_not_have_is_refused_in_its_table_by_both(tmp_path: Path) -> None:
    (tmp_path / "dag.toml").write_text('[pod]\nrum = "1Gi"\n')
    for command in (pod.command, doctor.command):
        with pytest.raises(UsageError, match=r"dag.toml:2: no flag is called 'rum'"):
            read_settings(str(tmp_path), command)
