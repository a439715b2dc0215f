"""What GitHub shows beside the lines of a change: each failure, at the definition that it is of.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from dag.core.build.result import Result
from dag.core.build.states import UnitState
from dag.core.visible import visible, visible_line
from dag.report.words import dubious_words, ring

_ENDS = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_SEPARATORS = str.maketrans({":": "%3A", ",": "%2C"})


def workflow_commands(result: Result, directory: str) -> Iterator[str]:
    """Yield the commands for GitHub: of each failure an annotation, and its last lines as a group.

    `directory` is that of the definitions, relative to the checkout.
    """
    for unit in result.with_state(UnitState.FAILED):
        said = "\n".join([visible_line(unit.cause), *unit.lines])
        title = f"{unit.name} {unit.version} failed"
        yield _error(directory, unit.file or f"{unit.name}.yaml", title, said)
        yield f"::group::the end of the log of {visible(unit.name)}"
        yield from map(visible_line, unit.lines)
        yield "::endgroup::"
    for unit in result.dubious:
        title = f"{unit.name} {unit.version} is not reproducible"
        yield _error(
            directory, unit.file or f"{unit.name}.yaml", title, visible_line(dubious_words(unit))
        )
    for cycle in result.stuck:
        for name in cycle.packages:
            title = f"{name} is in a cycle"
            yield _error(directory, f"{name}.yaml", title, ring(cycle.cycles[0]))
    for name, because in result.unbuildable.items():
        yield _error(directory, f"{name}.yaml", f"{name} cannot be built", because)


def _error(directory: str, definition: str, title: str, said: str) -> str:
    file = posixpath.normpath(posixpath.join(directory, definition))
    values = {"file": file, "line": "1", "title": title}
    shown = ",".join(f"{name}={_value(one)}" for name, one in values.items())
    return f"::error {shown}::{visible(said).translate(_ENDS)}"


def _value(text: str) -> str:
    return visible_line(text).translate(_ENDS).translate(_SEPARATORS)
