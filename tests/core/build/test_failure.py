"""The words of a failure, out of logs as melange and make write them."""

from __future__ import annotations

import pytest

from dag.core.build.failure import FailureWords, failure_words, vanished_mount

STEP = """\
dag: attempt 2
2026/11/29 20:41:10 INFO installing busybox (1.37.0-r0) arch=x86_64
2026/11/29 20:41:11 INFO running step "fetch" arch=x86_64
2026/11/29 20:41:11 WARN saved arch=x86_64
2026/11/29 20:41:12 INFO running step "autoconf/make" arch=x86_64
2026/11/29 20:41:12 INFO cc -c a.c arch=x86_64
2026/11/29 20:41:12 WARN a.c:1: error: expected ';' arch=x86_64
2026/11/29 20:41:12 WARN make: *** [Makefile:2: a.o] Error 1 arch=x86_64
2026/11/29 20:41:12 ERRO failed to build package: unable to run package a pipeline: unable to run pipeline: unable to run pipeline: exit status 2
make: *** [Makefile:12: packages/x86_64/a-1-r0.apk] Error 1
""".splitlines()


def test_the_words_are_those_of_the_step_and_not_those_of_melange_or_of_its_make() -> None:
    assert failure_words(STEP, "make ended") == FailureWords(
        "exit status 2 in the step autoconf/make, or in one without a name after it",
        ("cc -c a.c", "a.c:1: error: expected ';'", "make: *** [Makefile:2: a.o] Error 1"),
    )
    assert failure_words(STEP, "").step == "autoconf/make"
    assert failure_words(STEP, "", most=2).lines == (
        "a.c:1: error: expected ';'",
        "make: *** [Makefile:2: a.o] Error 1",
    )


def test_a_step_of_a_subpackage_is_called_that() -> None:
    failed = "failed to build package: unable to run subpackage a-dev pipeline: "
    lines = [
        "2026/11/29 20:41:12 WARN no such file arch=x86_64 subpackage=a-dev",
        f"2026/11/29 20:41:12 ERRO {failed}unable to run pipeline: exit status 1",
    ]
    assert failure_words(lines, "") == FailureWords(
        "exit status 1 in a step of the subpackage a-dev", ("no such file",)
    )


def test_what_melange_itself_refuses_is_told_without_what_it_installed() -> None:
    lines = [
        "2026/11/29 20:41:10 INFO installing busybox (1.37.0-r0)",
        "2026/11/29 20:41:10 WARN linter: usr/local",
        "2026/11/29 20:41:12 ERRO failed to build package: unable to run package linters: bad",
        "make: *** [Makefile:12: x] Error 1",
    ]
    assert failure_words(lines, "") == FailureWords(
        "melange: unable to run package linters: bad", ("linter: usr/local",)
    )
    assert failure_words(lines, "").step is None


@pytest.mark.parametrize(
    "message",
    [
        "unable to sign index: no PEM block found",
        "failed to parse SOURCE_DATE_EPOCH: strconv.ParseInt: parsing x: value out of range",
        "cannot use docker for runner, not found",
    ],
)
def test_whatever_melange_ends_with_is_the_cause_and_not_make_s_recipe(message: str) -> None:
    lines = [
        "SOURCE_DATE_EPOCH=0 melange build a.yaml --arch x86_64",
        "2026/11/29 20:41:10 WARN git repository URL for build config not provided",
        "2026/11/29 20:41:10 WARN a remark that matters",
        f"2026/11/29 20:41:12 ERRO {message}",
        "make: *** [Makefile:12: x] Error 1",
    ]
    assert failure_words(lines, "make ended with exit code 2") == FailureWords(
        f"melange: {message}", ("a remark that matters",)
    )
    # It went on, so something else has failed since.
    lines.insert(4, "2026/11/29 20:41:13 INFO signed index")
    assert failure_words(lines, "make ended", most=1).cause == "make ended"


def test_without_melange_the_last_lines_tell() -> None:
    lines = ["one", "make: *** No rule to make target 'x'.  Stop."]
    assert failure_words(lines, "make ended with exit code 2", most=1) == FailureWords(
        "make ended with exit code 2", (lines[1],)
    )


def test_a_hostile_line_of_a_step_takes_no_long_time() -> None:
    line = "2026/11/29 20:41:10 ERRO " + " arch=" * 40_000
    assert len(failure_words([line, line], "", most=1).cause) < 1000


def test_the_name_of_a_step_is_cut_off_where_nobody_reads_on() -> None:
    failed = "failed to build package: unable to run package a pipeline: "
    lines = [
        f'2026/11/29 20:41:12 INFO running step "{"x" * 100_000}" arch=x86_64',
        f"2026/11/29 20:41:12 ERRO {failed}unable to run pipeline: exit status 2",
    ]
    assert len(failure_words(lines, "").cause) < 1000


UNNAMED = """\
2026/11/29 20:41:09 WARN git repository URL for build config not provided
2026/11/29 20:41:09 INFO image configuration:
2026/11/29 20:41:09 INFO   contents:
2026/11/29 20:41:09 INFO auth configured for: 0x1071600
2026/11/29 20:41:10 INFO installing base-files (12.4-r0) arch=x86_64
2026/11/29 20:41:10 INFO installing busybox (1.37.0-r0) arch=x86_64
2026/11/29 20:41:10 WARN /etc/os-release is missing arch=x86_64
2026/11/29 20:41:11 INFO installing hello (1.0) arch=x86_64
2026/11/29 20:41:11 WARN /bin/sh: chmod_755: not found arch=x86_64
2026/11/29 20:41:12 ERRO failed to build package: unable to run package a pipeline: unable to run pipeline: exit status 127
""".splitlines()


def test_the_words_of_a_step_without_a_name_begin_behind_those_about_its_environment() -> None:
    words = failure_words(UNNAMED, "")
    assert words == FailureWords("exit status 127 in a step", ("/bin/sh: chmod_755: not found",))
    cut = [*UNNAMED[:7], UNNAMED[0], *UNNAMED[7:]]
    assert failure_words(cut, "").lines == words.lines
    begins_amid = UNNAMED[4:]  # where only the end of the log was read
    assert failure_words(begins_amid, "").lines == words.lines
    ends_before = [UNNAMED[8], UNNAMED[7], *UNNAMED[8:]]  # and here nothing is about it
    assert failure_words(ends_before, "").lines == (
        "/bin/sh: chmod_755: not found",
        "installing hello (1.0)",
        "/bin/sh: chmod_755: not found",
    )


def test_the_words_of_a_subpackage_are_not_mixed_with_those_of_the_package() -> None:
    failed = "failed to build package: unable to run subpackage a-dev pipeline: "
    lines = [
        '2026/11/29 20:41:11 INFO running step "make" arch=x86_64',
        "2026/11/29 20:41:12 WARN a warning of it arch=x86_64",
        "2026/11/29 20:41:12 INFO running pipeline for subpackage a-dev arch=x86_64",
        "2026/11/29 20:41:12 WARN no such file arch=x86_64 subpackage=a-dev",
        f"2026/11/29 20:41:12 ERRO {failed}unable to run pipeline: exit status 1",
    ]
    assert failure_words(lines, "") == FailureWords(
        "exit status 1 in a step of the subpackage a-dev", ("no such file",)
    )


def test_what_melange_warns_of_in_every_build_is_no_word_of_a_failure() -> None:
    lines = [
        "2026/11/29 20:41:09 WARN unable to detect commit for build config file: no repository",
        "2026/11/29 20:41:09 WARN git repository URL for build config not provided",
        "2026/11/29 20:41:09 WARN getting local index ./p: stat: stat ./p: no such file or directory",
        '2026/11/29 20:41:09 ERRO request failed error="Head \\"x\\": no host" method=HEAD url=http://x',
        "2026/11/29 20:41:09 WARN getting local index ./p: it is signed by nobody",
        "2026/11/29 20:41:12 ERRO failed to build package: unable to build guest: no key",
    ]
    assert failure_words(lines, "") == FailureWords(
        "melange: unable to build guest: no key",
        ("getting local index ./p: it is signed by nobody",),
    )


def test_a_mount_that_went_away_is_told_apart() -> None:
    place = "/run/containerd/1/rootfs"
    said = f'bwrap: Can\'t bind mount /oldroot/ on /newroot/: Unable to apply mount flags: remount "/newroot{place}": '
    for why in ("Invalid argument", "No such file or directory"):
        assert vanished_mount(["other", said + why]) == (
            "/run/containerd/1/rootfs went away while a sandbox was made"
        )
    assert vanished_mount([said + "Permission denied"]) is None
    assert vanished_mount(["bwrap: Can't bind mount /a on /b: No such file or directory"]) is None
