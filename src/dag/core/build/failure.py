"""The words of the step that failed, out of the log of a build.

melange stamps every line of a step, and says at the end which pipeline failed. What it did before
(it installed 60 packages) and what make says after it (`Error 1`) helps nobody.

The format is charmbracelet/log's, and the messages are those of melange's pkg/build/pipeline.go and
pkg/cli/build.go. A step can write such lines itself, so they decide nothing: they are only shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SHOWN_LINES = 20
"""How many lines of what failed are shown at once."""
SEARCHED_LINES = 400
"""How many of the last lines of a log in a cluster are searched for these: melange says much around a
failure."""
_STAMPED = re.compile(
    r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?P<level>DEBU|INFO|WARN|ERRO|FATA) (?P<text>.*?)"
    r"(?: arch=\S+)?(?: subpackage=\S+)?"
)
_BEGAN = re.compile(r'running step "(?P<step>.*)"')
_ENVIRONMENT = "image configuration:"
"""What melange says before it makes the environment of the steps."""
_INSTALLING = re.compile(r"installing \S+ \(\S+\)")
_REMARK = re.compile(
    r"/etc/(?:passwd|group|os-release) is missing"
    r"|git repository URL for build config not provided"
    r"|unable to detect commit for build config file: .*"
    r"|getting local index .*: no such file or directory"
    r"|request failed error=.* method=[A-Z]+ url=\S+"
)
"""What melange and apko warn of in any build, and what they say again at the end if it mattered."""
_SUBPACKAGE = re.compile(r"running pipeline for subpackage \S+")
_FATAL = ("ERRO", "FATA")
_FAILED = "failed to build package: "
_PIPELINE = re.compile(
    r"unable to run (?P<kind>package|subpackage) (?P<name>\S+) pipeline: "
    r"(?:unable to run pipeline: )*(?P<why>.*)"
)
_LONGEST = 500
"""Characters that are told of melange's message, and of a step's name."""


_VANISHED = re.compile(
    r"bwrap: Can't bind mount \S+ on \S+: Unable to apply mount flags: "
    r'remount "/newroot(?P<place>/[^"]{1,500})": (?:No such file or directory|Invalid argument)'
)
"""What bwrap (bind-mount.c) says when a mount is gone that it has just seen."""
_MOST_LACKED = 5


@dataclass(frozen=True, slots=True)
class FailureWords:
    """The cause of a failure in words, and the last lines of whatever failed."""

    cause: str
    lines: tuple[str, ...]
    step: str | None = field(default=None, compare=False)
    """The name of the step that failed, or of one before it; None if it is not known that one failed."""


def lacked_words(known: Mapping[str, str], lines: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return which names a build could not get, and that in words; no names if it was not for them.

    `known` are what packages of its environment need and nobody is known to give → one that needs it.
    melange names what it cannot install; that nobody gives it, we know ourselves.
    """
    names = tuple(name for name in known if any(f'"{name}"' in line for line in lines))
    needs = ", ".join(f"{known[name]} turned out to need {name}" for name in names[:_MOST_LACKED])
    more = f" and {len(names) - _MOST_LACKED} more" if len(names) > _MOST_LACKED else ""
    return names, f"{needs}{more} at run time, which no package gives that is here"


def vanished_mount(lines: Sequence[str]) -> str | None:
    """Return why no sandbox could be made for a step, if that was for a mount that went meanwhile.

    bwrap binds a directory with all that is mounted in it, one after the other. What somebody has
    mounted may go at any moment, and bwrap gives up then; the package is not at fault.
    """
    for line in lines:
        if found := _VANISHED.search(line):
            return f"{found['place']} went away while a sandbox was made"
    return None


def failure_words(lines: Sequence[str], otherwise: str, *, most: int = SHOWN_LINES) -> FailureWords:
    """Return what to tell of a build that failed, from the last lines of its log.

    There are `most` lines at most. If melange does not say what failed, the cause is `otherwise`,
    and the lines are the last ones.
    """
    stamped = [_STAMPED.fullmatch(line) for line in lines]
    for number in range(len(lines) - 1, -1, -1):
        found = stamped[number]
        if found and found["level"] in _FATAL and found["text"].startswith(_FAILED):
            message = found["text"].removeprefix(_FAILED)[:_LONGEST]
            return _words(message, [one for one in stamped[:number] if one], most)
    told = [one for one in stamped if one]
    if told and told[-1]["level"] in _FATAL and told[-1]["text"].strip():
        # melange ended without a word about the package: it could not sign, or not even begin.
        return _of_melange(told[-1]["text"][:_LONGEST], told[:-1], most)
    return FailureWords(otherwise, tuple(lines[-most:]))


def _of_melange(message: str, before: Sequence[re.Match[str]], most: int) -> FailureWords:
    warned = [one["text"] for one in before if one["level"] != "INFO" and one["text"].strip()]
    told = [text for text in warned if not _REMARK.fullmatch(text)]
    return FailureWords(f"melange: {message}", tuple(told[-most:]))


def _words(message: str, before: Sequence[re.Match[str]], most: int) -> FailureWords:
    pipeline = _PIPELINE.fullmatch(message)
    if pipeline is None:
        # No step failed: melange could not make the environment, or refused what was built.
        return _of_melange(message, before, most)
    step, said = "", list[str]()
    for one in _of_steps(before):
        if began := _BEGAN.fullmatch(one["text"]):
            step, said = began["step"][:_LONGEST], []
        elif one["level"] == "INFO" and _SUBPACKAGE.fullmatch(one["text"]):
            step, said = "", []
        elif one["text"].strip():
            said.append(one["text"])
    # Steps without a name are not announced, so it may be one of those that failed.
    where = f" in the step {step}, or in one without a name after it" if step else ""
    of = f" of the subpackage {pipeline['name']}" if pipeline["kind"] == "subpackage" else ""
    cause = f"{pipeline['why']}{where}{of}" if where else f"{pipeline['why']} in a step{of}"
    return FailureWords(cause, tuple(said[-most:]), step)


def _of_steps(lines: Sequence[re.Match[str]]) -> Sequence[re.Match[str]]:
    """Return the lines without those about the environment, which melange makes before any step.

    They may begin among these.
    """
    texts = [one["text"] for one in lines]
    begun = texts.index(_ENVIRONMENT) if _ENVIRONMENT in texts else 0
    installing = (n for n in range(begun, len(texts)) if _INSTALLING.fullmatch(texts[n]))
    ends = next(installing, 0) if begun else 0
    while ends < len(texts) and (
        _INSTALLING.fullmatch(texts[ends]) or _REMARK.fullmatch(texts[ends])
    ):
        ends += 1
    return lines[ends:]
