"""Files about a result, of a build that says what a terminal or a page would obey."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from dag.core.build.result import OTHER_ARCH, Result, SecondBuild, UnitResult
from dag.core.build.summary import SkippedSummary
from dag.report.annotations import workflow_commands
from dag.report.envelope import envelope
from dag.report.files import ShownPlaces, headline, to_json, to_junit, to_markdown

EVIL = "\x1b]52;c;ZXZpbA==\a<img src=x onerror=y>|[a](http://b) `c`\n::error::\u202ed"

PLACES = ShownPlaces(store="there/packages", directory="there")


def result() -> Result:
    unit = UnitResult(
        name="talks",
        version="1-r0",
        state="failed",
        reason="missing",
        because="",
        cause=EVIL,
        blocked_by=None,
        attempts=1,
        started=0.0,
        ended=1.0,
        lines=(EVIL, "```", "</failure>"),
        log="logs/x86_64/talks.log",
        file="talks.yaml",
    )
    return Result(
        arch="x86_64",
        units=(unit,),
        skipped=(
            SkippedSummary(name="old", version="1-r0", why=EVIL, named=False),
            SkippedSummary(name="arm", version="1-r0", why=OTHER_ARCH, named=True),
        ),
        stuck=(),
        blocked={"waits": EVIL},
        unbuildable={"foreign": EVIL},
        dropped=(),
        seconds=1.0,
        critical_path=(EVIL,),
        finished=True,
        stopped=EVIL,
        only_faults=False,
    )


def test_a_page_shows_what_a_build_says_and_nothing_of_it_is_live() -> None:
    page = to_markdown([result()], PLACES)
    assert page.replace("\n", "").isprintable()
    log = page.partition("\n````\n")[2].partition("\n````\n")[0]
    assert log.splitlines()[1:] == ["```", "</failure>"]
    outside = page.replace(log, "")
    assert "<" not in outside
    assert r"&lt;img src=x onerror=y&gt;\|\[a\](http://b) \`c\`" in outside
    assert not [line for line in outside.splitlines() if line.lstrip().startswith("::")]
    rows = [line for line in outside.splitlines() if line.startswith("| ")]
    assert {line.replace(r"\|", "").count("|") for line in rows} == {6}


def test_what_test_readers_read_is_xml_and_visible() -> None:
    text = to_junit([result()], PLACES)
    suite = ET.fromstring(text).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "3", "2")
    failed = {case.get("name") for case in suite.findall("testcase[failure]")}
    assert failed == {"talks", "foreign", "arm"}
    assert "arm 1-r0 was asked for but is not built for x86_64" in text
    assert text.replace("\n", "").isprintable()
    case = suite.find("testcase")
    assert case is not None
    assert case.get("file") == "there/talks.yaml"
    log = case.find("properties/property[@name='attachment']")
    assert log is not None
    assert log.get("value") == "there/packages/logs/x86_64/talks.log"
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.text.startswith(r"\x1b]52;c;ZXZpbA==\x07<img src=x onerror=y>")


def test_each_architecture_has_a_suite_and_a_part_of_the_page() -> None:
    both = [replace(result(), arch="aarch64", seconds=2.0), result()]
    suites = ET.fromstring(to_junit(both, PLACES)).findall("testsuite")
    told = [(one.get("name"), one.get("time"), one.get("tests")) for one in suites]
    assert told == [("dag build aarch64", "2.000", "5"), ("dag build x86_64", "1.000", "5")]
    page = to_markdown(both, PLACES)
    assert page == "\n".join(to_markdown([one], PLACES) for one in both)
    heads = [line for line in page.splitlines() if line.startswith("## ")]
    assert [head.partition(":")[0] for head in heads] == [
        "## dag build, aarch64",
        "## dag build, x86_64",
    ]


def test_a_page_is_never_longer_than_a_comment_may_be_and_what_is_not_there_comes_first() -> None:
    (unit,) = result().units
    done = [replace(unit, name=f"p{n:04}", state="done", cause="") for n in range(3000)]
    last = replace(unit, name="p9999", state="blocked", blocked_by="talks", cause="")
    both = [replace(result(), units=(*done, unit, last), arch=arch) for arch in ("a", "b")]
    page = to_markdown(both, PLACES)
    assert 55_000 < len(page) < 60_500
    for part in page.split("## dag build, ")[1:]:
        names = [line.split(" ")[1] for line in part.splitlines() if line.startswith("| ")]
        assert names[:4] == ["package", "talks", "p9999", "p0000"]
        shown = len(names) - 3
        assert f"{3000 - shown + 6:,} more lines would make this page longer" in part
    assert "more lines" not in to_markdown([replace(both[0], units=(unit,))], PLACES)


def test_json_means_what_was_said_in_characters_that_can_be_seen() -> None:
    text = to_json(result(), PLACES)
    assert text.replace("\n", "").isprintable()
    assert json.loads(text)["units"][0]["cause"] == EVIL


def test_a_ci_service_obeys_what_is_said_about_a_build_and_nothing_that_the_build_says() -> None:
    unit = replace(result().units[0], file="below/talking.yaml")
    lines = list(workflow_commands(replace(result(), units=(unit,)), "./os"))
    commands = [line.split("::")[1] for line in lines if line.lstrip().startswith("::")]
    assert commands == [
        "error file=os/below/talking.yaml,line=1,title=talks 1-r0 failed",
        "group",
        "endgroup",
        "error file=os/foreign.yaml,line=1,title=foreign cannot be built",
    ]
    assert all(line.isprintable() for line in lines)


def test_what_came_out_differently_is_told_by_every_report_in_characters_that_can_be_seen() -> None:
    second = SecondBuild(state="done", cause="", differences=(f"a.apk: {EVIL}",))
    (unit,) = result().units
    odd = replace(unit, state="done", cause="", lines=(), results=2, second=second)
    ended = replace(result(), units=(odd,), unbuildable={}, skipped=(), finished=True)
    assert ended.exit_code == 1
    assert headline(ended).startswith("1 built, 1 not reproducible, ")
    words = "not reproducible: the same inputs gave 2 different results; a.apk: "
    junit, page = to_junit([ended], PLACES), to_markdown([ended], PLACES)
    failure = ET.fromstring(junit).find("testsuite/testcase/failure")
    assert failure is not None
    assert (failure.get("message") or "").startswith(words)
    assert "### talks 1-r0 is not reproducible\n" in page
    commands = list(workflow_commands(ended, "."))
    assert commands[0].startswith(
        "::error file=talks.yaml,line=1,title=talks 1-r0 is not reproducible::not reproducible"
    )
    for text in (junit, page, to_json(ended, PLACES), *commands):
        assert text.replace("\n", "").isprintable()
    failed = replace(second, state="failed", cause="exit status 1", differences=())
    equal = replace(second, differences=())
    for results, other, told in (
        (1, failed, "not reproducible: the second build failed: exit status 1"),
        (2, failed, "gave 2 different results; the second build failed: exit status 1"),
        (
            2,
            equal,
            "2 different results; these two builds are equal, and an earlier one was different",
        ),
    ):
        seen = replace(ended, units=(replace(odd, results=results, second=other),))
        assert told in to_markdown([seen], PLACES)


def test_no_body_replaces_a_field_of_the_frame() -> None:
    assert json.loads(envelope("pods", {"pods": []}, exit_code=1))["exit_code"] == 1
    with pytest.raises(ValueError, match="exit_code, kind"):
        envelope("pods", {"kind": "x", "exit_code": 0})


def test_what_is_there_is_told_apart_from_what_is_left_out() -> None:
    whys = ("in the store", "in a repository", "needs a broken definition")
    skipped = tuple(
        SkippedSummary(name=str(number), version="1-r0", why=why, named=False)
        for number, why in enumerate((*whys, "not for this architecture"))
    )
    ended = replace(result(), units=(), skipped=skipped, stopped=None)
    assert headline(ended).startswith(
        "2 there already, 1 not for x86_64, 1 left out because of broken definitions, "
    )
    assert not headline(ended).endswith("used")
    assert headline(replace(ended, broken=1)).endswith("; 1 definition cannot be used")
    assert headline(replace(ended, broken=1234)).endswith("; 1,234 definitions cannot be used")
