"""Parsers of what builds and runs leave."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dag.core.build import journal
from dag.core.build.failure import failure_words, lacked_words
from dag.core.build.scripts import read_trailer
from dag.core.build.usage import parse_usage
from dag.core.limits import LOG_LINE
from dag.core.lines import LineSplitter
from dag.core.pod.log import PodLog
from dag.core.pod.reading import ContainerLog
from dag.core.visible import visible, visible_entry, visible_log_line
from dag.errors import DagError
from dag.io import locks
from dag.io.settings import parse_settings
from tests.fuzz.targets.common import file_of, target, text_of


@target
def run_journal(data: bytes) -> None:
    with suppress(ValueError):
        journal.replay_run(line + b"\n" for line in data.split(b"\n"))


@target
def log(data: bytes) -> None:
    splitter, pod, kept = LineSplitter(LOG_LINE), PodLog(), ContainerLog()
    for number, piece in enumerate(data.split(b"\xff")):
        texts = [text for line in splitter.feed(piece) if (text := pod.feed(line)) is not None]
        for line in kept.take(texts):
            visible_log_line(line)
        if number % 2:
            pod.resume()


@target
def shown(data: bytes) -> None:
    for text in (visible(text_of(data)), visible_entry(text_of(data)), visible_log_line(data)):
        text.encode()
        assert text.replace("\n", "").replace("\t", "").isprintable()


@target
def settings(data: bytes) -> None:
    with file_of(data) as file, suppress(DagError):
        parse_settings(Path(file.name))


@target
def usage(data: bytes) -> None:
    parse_usage(text_of(data))
    for line in text_of(data).splitlines():
        read_trailer(line)


@target
def failure(data: bytes) -> None:
    """Find in the log of a build why that has failed."""
    lines = text_of(data).split("\n")
    found = failure_words(lines, "make failed")
    assert len(found.lines) <= 20
    lacked_words({"so:libz.so.1": "a", lines[0]: "b"}, lines)


@target
def lock_holder(data: bytes) -> None:
    str(locks._parse_holder(data)).encode()
