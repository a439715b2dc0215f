"""`dag attach` ends with 0 only if what the run has proven is published, or somebody else has the key."""

from __future__ import annotations

import pytest

from dag.cli.attach import _publish, failure_of, tell_published
from dag.core.build.publishing import PublishedUnit, Publishing, UnpublishedUnit
from dag.core.jobs.handover import DriverEnd
from dag.core.jobs.options import AttachOptions
from dag.core.jobs.publishing import publish_options
from dag.errors import DagError, InfrastructureError, UsageError
from dag.io.store.ownkey import KeyElsewhere
from dag.report.terminal import Manner, Terminal, behave
from dag.run.build.runs import NoSuchRun
from dag.run.jobs.attach import FollowedRun

RUN = "20260101-000000-000abc"
OPTIONS = AttachOptions(store="pvc://packages", quiet=True)
ASKED = publish_options(OPTIONS, RUN)
LATER = f"not published; `dag publish --run={RUN} --store=pvc://packages` does that"


def test_a_run_of_which_nothing_was_kept_is_no_success() -> None:
    found = failure_of(ASKED, NoSuchRun("there was no run"), Terminal())
    assert isinstance(found, InfrastructureError)
    assert f"no journal of run {RUN}" in found.message
    assert "`dag publish`" in (found.hint or "")


@pytest.mark.parametrize(
    "error", [UsageError("the journal is damaged"), InfrastructureError("the claim is gone")]
)
def test_what_cannot_be_published_is_a_failure(error: DagError) -> None:
    assert failure_of(ASKED, error, Terminal()) is error


def test_a_package_that_is_refused_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    lost = UnpublishedUnit("zlib", "1-r0", "its package is gone")
    new = PublishedUnit("brotli", "1-r0")
    one = Publishing(arch="x86_64", published=(new,), already=(), lacking=(), refused=(lost,))
    with pytest.raises(InfrastructureError, match="zlib could not be published: its package is"):
        tell_published([one], Terminal())
    assert "brotli" in capsys.readouterr().err


def test_a_key_that_is_elsewhere_is_no_failure_and_is_said_also_with_q(
    capsys: pytest.CaptureFixture[str],
) -> None:
    behave(Manner(quiet=True, color="never"))
    try:
        elsewhere = KeyElsewhere("the key is not here", hint="copy it")
        assert failure_of(ASKED, elsewhere, Terminal()) is None
    finally:
        behave(Manner())
    said = capsys.readouterr().err
    assert f"{LATER} where the key is: the key is not here; copy it" in said


@pytest.mark.parametrize("code", [2, 3, 130])
def test_a_run_that_was_not_built_to_its_end_is_not_published(
    capsys: pytest.CaptureFixture[str], code: int
) -> None:
    assert _publish(OPTIONS, FollowedRun(RUN, DriverEnd(exit_code=code)), Terminal()) is None
    assert LATER in capsys.readouterr().err
