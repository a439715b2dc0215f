"""The page that is kept while a build goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.build.events import Began, Proven, Succeeded, Unit
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.io.store.local import Store
from dag.run.build.pages import PageWriter, begun_run

RUN = "20260829-141200-123abc"


def writer(path: Path, root: Path) -> tuple[Scheduler, PageWriter]:
    scheduler = Scheduler([Unit("a"), Unit("b", ("a",))], RunLimits(jobs=1))
    planned = {name: PlannedPackage("1-r0", "missing", "") for name in ("a", "b")}
    about = PlanSummary(arch="x86_64", packages=planned, timed=0)
    kept = begun_run(Store(root, Arch.parse("x86_64")), RUN, "packages")
    scheduler.handle(Began(), 0.0)
    return scheduler, PageWriter(path, scheduler, about, kept)


def test_the_page_is_whole_while_the_build_goes_on_and_complete_when_it_has_ended(
    tmp_path: Path,
) -> None:
    path = tmp_path / "page.html"
    scheduler, page = writer(path, tmp_path)
    page.look_at_clock(1.0)
    for key, now in (("a", 2.0), ("b", 4.0)):
        scheduler.handle(Succeeded(key, 1), now)
        scheduler.handle(Proven(key, 1), now)
    page.close(5.0)
    text = path.read_text()
    assert "2 built in 5.0s" in text
    assert "still running" not in text
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_there_after_a_kill_is_a_page_of_a_run_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    _, page = writer(path, tmp_path)
    page.look_at_clock(1.0)
    page.wait()
    text = path.read_text()
    assert "still running when this page was written" in text
    assert text.endswith("</html>\n")


def test_a_link_to_the_page_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("page.html")
    _, page = writer(tmp_path / "link", tmp_path)
    page.look_at_clock(1.0)
    page.close(2.0)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "page.html").read_text().endswith("</html>\n")


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, page = writer(tmp_path / "no" / "page.html", tmp_path)
    page.look_at_clock(1.0)
    page.close(2.0)
    said = capsys.readouterr().err
    assert said.count("No such file or directory; the build goes on") == 1
