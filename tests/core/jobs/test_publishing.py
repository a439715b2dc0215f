"""The flags of `dag publish` are those of the build that it publishes for."""

from __future__ import annotations

import pytest

from dag.core.arch import Arch
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.publishing import PublishOptions, publish_command
from dag.errors import UsageError


@pytest.mark.parametrize(
    ("options", "command"),
    [
        (UnitBuildOptions(), "dag publish"),
        (
            UnitBuildOptions(directory="a b", store="s3://x/y", on="kubernetes"),
            "dag publish '--dir=a b' --store=s3://x/y --on=kubernetes",
        ),
        (UnitBuildOptions(store="pvc://c", on="kubernetes"), "dag publish --store=pvc://c"),
        (
            UnitBuildOptions(store="pvc://c", on="kubernetes", context="mine", namespace="n"),
            "dag publish --store=pvc://c --context=mine --namespace=n",
        ),
        (UnitBuildOptions(namespace="n"), "dag publish"),
        (
            UnitBuildOptions(sign="apart", arch=(Arch.parse("aarch64"), Arch.parse("x86_64"))),
            "dag publish --sign=apart --arch=aarch64,x86_64",
        ),
    ],
)
def test_a_build_names_the_command_that_publishes(options: UnitBuildOptions, command: str) -> None:
    assert publish_command(options) == command


def test_what_decides_what_is_finished_is_as_in_the_build() -> None:
    options = PublishOptions(
        packages=("egg",),
        only=True,
        directory="d",
        make_vars=("A=b",),
        common=("rules",),
        repositories=("r",),
        store="pvc://c",
        signing_key="k.rsa",
        sign="apart",
    )
    build = options.of_build()
    assert build.on == "kubernetes"
    assert build.arch == (Arch.parse("x86_64"),)
    for name in ("packages", "only", "directory", "make_vars", "common", "repositories", "store"):
        assert getattr(build, name) == getattr(options, name)
    assert (build.publish, build.is_apart, build.key_file) == (True, True, None)
    assert PublishOptions().of_build().on == "local"


def test_a_key_signs_here_unless_a_signer_does_or_nothing_is_published() -> None:
    here = UnitBuildOptions(signing_key="k.rsa")
    assert (here.signs_here, here.key_file) == (True, "k.rsa")
    apart = UnitBuildOptions(signing_key="k.rsa", sign="apart")
    for options in (apart, UnitBuildOptions(signing_key="k.rsa", publish=False)):
        assert (options.signs_here, options.key_file) == (False, None)


def test_what_makes_no_sense_together_is_refused() -> None:
    with pytest.raises(UsageError, match="packages are named besides"):
        PublishOptions(run="2026", packages=("egg",)).check()
    with pytest.raises(UsageError, match="--publish=false publishes nothing"):
        assert UnitBuildOptions(out="o", publish=False, on="kubernetes").is_on_cluster
