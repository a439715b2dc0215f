"""No module imports another one that imports it in turn, not even for its types.

import-linter checks the directions inside `dag`. It does not see directories without `__init__.py`,
as those of the tests are.
"""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r"^[ \t]*(?:from .+ import (?:\([^)]*\)|.*)|import .*)", re.MULTILINE)
ROOTS = ("bench", "cluster", "examples", "src/dag", "tests")


def modules(*roots: Path) -> dict[str, Path]:
    """Return the file of each module below `roots`, which are packages, by its name."""
    return {
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for root in roots
        for path in root.rglob("*.py")
    }


def imports(files: dict[str, Path]) -> dict[str, set[str]]:
    """Return, for each module, those of the modules that it imports, wherever in its text."""
    graph = {}
    for module, path in files.items():
        named = set()
        for node in statements(path.read_text()):
            match node:
                case ast.Import(names=names):
                    named |= {alias.name for alias in names}
                case ast.ImportFrom(module=str(origin), names=names, level=0):
                    members = {f"{origin}.{alias.name}" for alias in names}
                    named |= members & files.keys() or {origin}
        graph[module] = (named & files.keys()) - {module}
    return graph


def statements(text: str) -> list[ast.stmt]:
    """Return the imports of a module; whatever else is returned is none.

    Each begins a line, as ruff has it, so that only these lines are parsed: whole modules take forty
    times as long.
    """
    found = "\n".join(line.strip() for line in IMPORT.findall(text))
    try:
        return ast.parse(found).body
    except SyntaxError:  # a line of prose begins like one
        return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of a circle, with the first one again at the end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_imports_go_in_no_circle() -> None:
    graph = imports(modules(*(CHECKOUT / root for root in ROOTS)))
    assert "cluster.system" in graph["cluster.lifecycle"]
    assert circle(graph) == []


@pytest.mark.parametrize(
    "text",
    [
        "import p.b",
        "from p import b",
        "from p.b import thing",
        "def later():\n    import p.b",
        "if TYPE_CHECKING:\n    from p.b import Thing",
    ],
)
def test_a_circle_is_found_however_it_is_imported(tmp_path: Path, text: str) -> None:
    package = tmp_path / "p"
    package.mkdir()
    (package / "a.py").write_text(text)
    (package / "b.py").write_text("from p import a")
    assert sorted(set(circle(imports(modules(package))))) == ["p.a", "p.b"]


def test_programs_of_the_cluster_are_started_where_a_missing_one_is_a_sentence() -> None:
    starts = [
        path.name
        for path in (CHECKOUT / "cluster").glob("*.py")
        if "import subprocess" in path.read_text()
    ]
    assert starts == ["system.py"]
