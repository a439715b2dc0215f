r"""Texts of strangers, made fit to be shown: on a terminal, in a file, in the log of a CI service.

A name, a message or a line of a log may hold what a terminal obeys (it moves, clears, retitles,
fills the clipboard), what nobody sees (blanks of no width, text that runs backwards), or what a CI
service takes for an order. All of that is shown as Python would write it: `\x1b`, `\u202e`. Colours
alone are dropped, because nearly every build tool writes them.
"""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
"""https://ecma-international.org/publications-and-standards/standards/ecma-48/, SGR."""
_ORDER = re.compile(r"^([ \t]*):(?=:)|#(?=#\w*\[)", re.MULTILINE)
"""Where a line is an order to the service that keeps it.

`::error::` at the beginning, behind blanks: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
`##[error]` and `##vso[task.complete]` anywhere: https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands.
`##teamcity[…]`: https://www.jetbrains.com/help/teamcity/service-messages.html.
"""
_KEPT = "\n\t"
_BLANK = frozenset(
    (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810))
) | {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
"""Letters and marks that leave nothing to see, though Python calls them printable.

They are those of https://www.unicode.org/Public/UNIDATA/DerivedCoreProperties.txt,
Default_Ignorable_Code_Point, and the empty pattern of Braille.
"""
_REMEMBERED = 0x3000
"""What each character becomes is kept up to this one, so that no text can fill the memory."""


class _Shown(dict[int, int | str]):
    """What becomes of each character, found out when it is first met."""

    def __missing__(self, code: int) -> int | str:
        shown = code if is_visible(chr(code)) else self.escape(chr(code))
        if code < _REMEMBERED:
            self[code] = shown
        return shown

    @staticmethod
    def escape(character: str) -> str:
        return character.encode("unicode_escape").decode()


class _ShownInJson(_Shown):
    """The same for JSON, which has escapes of its own."""

    @staticmethod
    def escape(character: str) -> str:
        import json

        return json.dumps(character)[1:-1]


_SHOWN, _SHOWN_IN_JSON = _Shown(), _ShownInJson()


def is_visible(character: str) -> bool:
    """Return whether a character is shown as it is; newlines and tabs are."""
    return (character.isprintable() and ord(character) not in _BLANK) or character in _KEPT


def visible(text: str) -> str:
    """Return a text as it may be shown; newlines stay, and doing it again changes nothing."""
    if text.isascii() and text.isprintable() and "::" not in text and "##" not in text:
        return text
    text = _COLOUR.sub("", text.replace("\r\n", "\n")).translate(_SHOWN)
    return _ORDER.sub(_defused, text)


def visible_line(text: str) -> str:
    """Return a text as it may be shown within one line: a newline in it becomes a blank."""
    return " ".join(visible(text).split("\n"))


def visible_entry(text: str) -> str:
    """Return a text as one entry of a list of lines: what follows its first line is indented.

    So a newline in it does not begin what looks like an entry of its own.
    """
    return visible(text.replace("\n", "\n  ") if "\n" in text else text)


def visible_log_line(line: bytes) -> str:
    """Return a line of a log, without its newline, as it may be shown."""
    text = line.removesuffix(b"\r").decode(errors="backslashreplace")
    return visible(text)


def visible_json(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON, in which whatever cannot be seen is escaped."""
    import json

    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.translate(_SHOWN_IN_JSON).replace("##", "#\\u0023")


def _defused(found: re.Match[str]) -> str:
    return f"{found[1]}\\x3a" if found[1] is not None else "\\x23"
