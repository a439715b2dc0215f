"""`dag attach` ends with 0 only if what the run has proven is published, or somebody else has the key."""

from __future__ import annotations

import pytest

from dag.cli import attach as module
from dag.core.build.publishing import Publishing, UnpublishedUnit
from dag.core.jobs.handover import DriverEnd
from dag.core.jobs.options import AttachOptions
from dag.core.jobs.publishing import PublishOptions
from dag.errors import DagError, InfrastructureError, UsageError
from dag.io.store.ownkey import KeyElsewhere
from dag.report.terminal import Manner, Terminal, behave
from dag.run.build.runs import NoSuchRun
from dag.run.jobs.attach import FollowedRun

RUN = "20260101-000000-000abc"
OPTIONS = AttachOptions(store="pvc://packages", quiet=True)


def publishing_ends(monkeypatch: pytest.MonkeyPatch, outcome: DagError | list[Publishing]) -> None:
    def publish(options: PublishOptions, _: Terminal) -> list[Publishing]:
        assert options.run == RUN
        if isinstance(outcome, DagError):
            raise outcome
        return outcome

    monkeypatch.setattr("dag.run.jobs.publish.publish_on_cluster", publish)


def failure(code: int = 0) -> DagError | None:
    end = DriverEnd(exit_code=code)
    return module._publish(OPTIONS, FollowedRun(RUN, end), Terminal())


def test_a_run_of_which_nothing_was_kept_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    publishing_ends(monkeypatch, NoSuchRun("there was no run"))
    found = failure()
    assert isinstance(found, InfrastructureError)
    assert f"no journal of run {RUN}" in found.message
    assert "`dag publish`" in (found.hint or "")


@pytest.mark.parametrize(
    "error", [UsageError("the journal is damaged"), InfrastructureError("the claim is gone")]
)
def test_what_cannot_be_published_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, error: DagError
) -> None:
    publishing_ends(monkeypatch, error)
    assert failure() is error


def test_a_package_that_is_refused_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = UnpublishedUnit("zlib", "1-r0", "its package is gone")
    one = Publishing(arch="x86_64", published=(), already=(), lacking=(), refused=(lost,))
    publishing_ends(monkeypatch, [one])
    found = failure(1)
    assert found is not None
    assert "zlib could not be published: its package is gone" in found.message


@pytest.mark.parametrize("code", [0, 3])
def test_what_is_left_to_others_is_no_failure_and_is_said_also_with_q(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    publishing_ends(monkeypatch, KeyElsewhere("the key is not here", hint="copy it"))
    behave(Manner(quiet=True, color="never"))
    try:
        assert failure(code) is None
    finally:
        behave(Manner())
    said = capsys.readouterr().err
    assert f"not published; `dag publish --run={RUN} --store=pvc://packages` does that" in said
