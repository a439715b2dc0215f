"""JSON for programs: what all commands print with --json has the same frame.

docs/json.md describes it, and docs/json.schema.json is the schema that tests hold it to.
"""

from __future__ import annotations

from collections.abc import Mapping

from dag.core.visible import visible_json

FORMAT = 1
"""It grows when something that a reader may rely on changes its meaning or goes; not for additions."""


def envelope(kind: str, body: Mapping[str, object], *, exit_code: int = 0) -> str:
    """Return one JSON object as text, see `framed`.

    Raises:
        ValueError: the body has a field of the frame.

    """
    return visible_json(framed(kind, body, exit_code=exit_code), indent=2) + "\n"


def framed(kind: str, body: Mapping[str, object], *, exit_code: int = 0) -> dict[str, object]:
    """Return one object: the format, what it is about, how the command ends, and `body`.

    Raises:
        ValueError: the body has a field of the frame.

    """
    frame = {"format": FORMAT, "kind": kind, "exit_code": exit_code}
    if twice := frame.keys() & body.keys():
        raise ValueError(f"{kind}: a field of the frame, too: {', '.join(sorted(twice))}")
    return {**frame, **body}
