"""The picture of a run in time: a line for each slot, a bar for each unit."""

from __future__ import annotations

from dag.core.build.result import Result
from dag.core.build.timeline import Bar, bars
from dag.report.page.document import Node, node
from dag.report.words import count, seconds

_LINE = 18
"""The height of a slot in pixels."""
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
"""The distances in seconds that times may have on the axis."""
_CHARACTER = 0.75
"""How many percent of the picture's width a character may take: it stands on a bar if it fits."""


def timeline(result: Result) -> Node | None:
    """Return the picture; None if nothing ran. The table of packages says the same in words."""
    made = bars(result)
    if not made:
        return None
    slots = 1 + max(bar.slot for bar in made)
    whole = max(result.seconds, *(bar.end for bar in made), 0.001)
    critical = frozenset(result.critical_path)
    height = (slots + 1) * _LINE
    words = (
        f"{count(len(made), 'unit')} in {count(slots, 'slot')} over {seconds(whole)}. "
        "Bars with a heavy edge are the critical path."
    )
    picture = node(
        "svg",
        *_axis(whole, height),
        *(_bar(bar, whole, is_critical=bar.unit.name in critical) for bar in made),
        width="100%",
        height=str(height),
        role="img",
        aria_label=f"{words} The table of packages has every one.",
    )
    scroll = node(
        "div", picture, class_="timeline", tabindex="0", role="region", aria_label="Timeline"
    )
    return node("section", node("h2", "Timeline"), node("p", words), scroll)


def _axis(whole: float, height: int) -> list[Node]:
    step = next((tick for tick in _TICKS if whole / tick <= 10), _TICKS[-1])
    marks: list[Node] = []
    for number in range(1, int(whole / step) + 1):
        x = f"{number * step / whole * 100:.3f}%"
        marks.append(node("line", x1=x, x2=x, y1="0", y2=str(height), class_="tick"))
        marks.append(node("text", seconds(number * step), x=x, dx="-3", y="12", class_="time"))
    return marks


def _bar(bar: Bar, whole: float, *, is_critical: bool) -> Node:
    unit, y = bar.unit, (bar.slot + 1) * _LINE
    width = max(0.05, (bar.end - bar.start) / whole * 100)
    x = f"{bar.start / whole * 100:.3f}%"
    label = f"{unit.name} {unit.version}: {unit.state} after {seconds(bar.end - bar.start)}"
    shape = node(
        "rect",
        node("title", f"{label}, on the critical path" if is_critical else label),
        x=x,
        y=str(y),
        width=f"{width:.3f}%",
        height=str(_LINE - 3),
        rx="2",
        class_=f"bar {unit.state}{' critical' if is_critical else ''}",
        data_unit=unit.name,
    )
    if len(unit.name) * _CHARACTER > width:
        return shape
    return node("g", shape, node("text", unit.name, x=x, dx="4", y=str(y + 12), class_="name"))
