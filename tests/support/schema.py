"""The schema of what is printed with --json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# What checks the format `iri` compiles forty grammars when it is imported, for more than a second,
# in each process of the tests; no schema of ours has that format, and jsonschema goes without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

from jsonschema import Draft202012Validator  # noqa: E402

__all__ = ["SCHEMA", "Draft202012Validator", "checked"]

_PATH = Path(__file__).parents[2] / "docs" / "json.schema.json"
SCHEMA: dict[str, Any] = json.loads(_PATH.read_text())


def checked(text: str, kind: str) -> dict[str, Any]:
    """Return the one JSON object in `text`, which is of this kind and as the schema says."""
    data = json.loads(text)
    assert isinstance(data, dict)
    assert data["kind"] == kind
    assert list(data)[:3] == ["format", "kind", "exit_code"]
    # Of the kind alone, so that what is wrong is named.
    one = {**SCHEMA, "$ref": f"#/$defs/{kind.replace(' ', '-')}"}
    del one["oneOf"]
    wrong = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(one).iter_errors(data)
    ]
    assert wrong == []
    Draft202012Validator(SCHEMA).validate(data)
    return data
