"""What nothing may do with groups of exceptions, as long as Python 3.11.2 is met."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def test_nothing_is_raised_in_an_except_star() -> None:
    # Python before 3.11.4, which Debian 12 has, wraps such an exception in a group of its own, and
    # what waits for an error with a remedy does not see it.
    found = [
        f"{path.relative_to(SOURCE)}:{inner.lineno}"
        for path in SOURCE.rglob("*.py")
        if "except*" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.TryStar)
        for handler in node.handlers
        for inner in ast.walk(handler)
        if isinstance(inner, ast.Raise)
    ]
    assert found == []
