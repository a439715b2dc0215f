"""Diagrams of state machines, made from their tables."""

from __future__ import annotations

from collections.abc import Iterator

from dag.core.build.states import SETTLED, TRANSITIONS, UnitState


def scheduler_diagram() -> str:
    """Return the states of a unit in the language of mermaid."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {UnitState.WAITING.value}"
    for (state, trigger), follows in TRANSITIONS.items():
        yield f"    {state.value} --> {follows.value}: {trigger.value}"
    for state in UnitState:
        if state in SETTLED:
            yield f"    {state.value} --> [*]"
