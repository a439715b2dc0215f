"""What a person should know of the architectures that a definition is for."""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.arch import ARCHITECTURES, apk_name
from dag.core.package.dependencies import Text
from dag.core.package.problems import FileProblem


def unknown_architectures(listed: Sequence[Text], file: str) -> tuple[FileProblem, ...]:
    """Return a warning if `target-architecture` has names that melange never builds for."""
    unknown = [one for one in listed if one.text and one.text not in (*ARCHITECTURES, "all")]
    if not unknown:
        return ()
    names = " and ".join(repr(one.text[:60]) for one in unknown[:5])
    known = {**{one.text: apk_name(one.text) for one in unknown[:5]}, "noarch": "all"}
    ours = dict.fromkeys(known[one.text] for one in unknown[:5])
    fix = "use names such as x86_64 and aarch64"
    if None not in ours:
        fix = f"write {' and '.join(map(str, ours))}"
    what = f"target-architecture has {names}, which melange does not know"
    return (FileProblem(file, unknown[0].line, what, fix),)
