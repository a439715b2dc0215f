"""A driver is asked for what the client was asked for, as far as that is so in the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dag.core.flagtexts import options_of
from dag.core.jobs.options import UnitBuildOptions
from dag.errors import UsageError
from dag.run.jobs.detach import flags_for_driver

IMAGE = "sdk@sha256:" + "a" * 64


def asked(options: UnitBuildOptions) -> UnitBuildOptions:
    digests = {options.sdk_image: IMAGE}
    return options_of(UnitBuildOptions, flags_for_driver(options, "builds", digests))


def test_what_lies_in_the_directory_lies_in_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    link = tmp_path.with_name("link")
    link.symlink_to(tmp_path)
    found = asked(
        UnitBuildOptions(
            directory=str(link),
            repositories=("https://example.com/os", str(tmp_path / "keys/..")),
            keyrings=(str(link / "keys/a.rsa.pub"),),
            pipeline_dirs=(str(tmp_path / "pipelines"),),
        )
    )
    assert found.directory == "/bundle"
    assert found.repositories == ("https://example.com/os", "/bundle/.")
    assert found.keyrings == ("/bundle/keys/a.rsa.pub",)
    assert found.pipeline_dirs == ("/bundle/pipelines",)


def test_neither_cluster_nor_registry_nor_key_of_the_client_is_told(tmp_path: Path) -> None:
    found = asked(
        UnitBuildOptions(
            directory=str(tmp_path),
            packages=("zlib",),
            kubeconfig="/home/me/config",
            context="mine",
            signing_key="/home/me/mine.rsa",
            bundle_repo="registry.example.com/me",
            pull_repo="10.0.0.1:5000/me",
            agent_image=IMAGE,
            insecure_registry=True,
            detach=True,
            json=True,
            retries=2,
        )
    )
    assert found == UnitBuildOptions(
        directory="/bundle",
        packages=("zlib",),
        namespace="builds",
        sdk_image=IMAGE,
        wait=True,
        color="never",
        retries=2,
    )


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ({"out": "x"}, "run the same without --detach"),
        ({"report": "x.html"}, "`dag report`"),
        ({"junit": "x.xml"}, "`dag attach --junit`"),
        ({"markdown": "x.md"}, "`dag attach --markdown`"),
        ({"since": "main"}, "`dag affected`"),
    ],
)
def test_what_nobody_is_there_for_is_refused(given: dict[str, Any], instead: str) -> None:
    options = UnitBuildOptions(on="kubernetes", store="pvc://a", detach=True, **given)
    with pytest.raises(UsageError, match=f"--{next(iter(given))} and --detach") as refused:
        assert options.is_on_cluster
    assert instead in (refused.value.hint or "")


def test_what_drives_in_the_cluster_asks_no_signer() -> None:
    options = UnitBuildOptions(on="kubernetes", store="pvc://a", detach=True, sign="apart")
    with pytest.raises(UsageError, match="--sign apart and --detach exclude each other"):
        assert options.is_on_cluster
