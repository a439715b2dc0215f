"""One word means one thing in all of dag: no two modules give a class or a type the same name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "src" / "dag"
# A type has capitals and small letters; what has capitals alone is a constant.
DEFINED = re.compile(r"^(?:class ([A-Z]\w*)|([A-Z]\w*[a-z]\w*) = )", re.MULTILINE)


def several_times(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the types that several modules define, with the paths of these; given are their texts."""
    places: dict[str, list[str]] = {}
    for path, text in texts.items():
        for names in DEFINED.findall(text):
            places.setdefault("".join(names), []).append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def test_no_two_types_have_one_name() -> None:
    texts = {str(path.relative_to(SOURCES)): path.read_text() for path in SOURCES.rglob("*.py")}
    assert several_times(texts) == {}


def test_types_of_one_name_are_found_wherever_they_are() -> None:
    texts = {
        "a": "class Run:\n    pass\n",
        "b": "Run = str | int\nSCOPES = 1\n",
        "c": "SCOPES = 2\n",
    }
    assert several_times(texts) == {"Run": ["a", "b"]}
