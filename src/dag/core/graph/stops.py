"""What stops packages: needs that only a broken definition might give, or one for elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from dag.core.package.model import BrokenDefinition, Need
from dag.errors import UsageError


class BrokenNeed(NamedTuple):
    """A need of a sound package that only a broken definition might give."""

    package: str
    need: Need
    definition: BrokenDefinition

    def __str__(self) -> str:
        problem = self.definition.problems[0]
        return (
            f"{self.package} needs {self.need.name} at {self.need.file}:{self.need.line}, but the "
            f"definition of that cannot be used: {problem.file}:{problem.line}"
        )


class BrokenNames:
    """The names that only broken definitions might give."""

    def __init__(self, definitions: Iterable[BrokenDefinition], available: Collection[str]) -> None:
        """Take the broken definitions, and the names that a repository has all the same."""
        self._definitions = {
            name: definition
            for definition in definitions
            for name in (*definition.names, definition.file)
        }
        self._available = available

    def __bool__(self) -> bool:
        return bool(self._definitions)

    def __contains__(self, name: object) -> bool:
        return name in self._definitions

    def find(self, package: str, need: Need) -> BrokenNeed | None:
        """Return the need if it is one of these names, which the caller knows nothing else gives."""
        definition = self._definitions.get(need.name)
        if definition is None or need.name in self._available:
            return None
        return BrokenNeed(package, need, definition)

    def refusal(self, names: Sequence[str]) -> UsageError | None:
        """Return an error if any of `names`, which are asked for, is one of these."""
        lines = []
        for name in names:
            if (definition := self._definitions.get(name)) is not None:
                problem = definition.problems[0]
                lines.append(
                    f"the definition of {name} cannot be used: {problem.file}:{problem.line}"
                )
        return UsageError("\n".join(lines)) if lines else None


def refuse_needs(needs: Iterable[object]) -> None:
    """Refuse what is asked for, if something of it has needs that nothing can give.

    Raises:
        UsageError: there are such needs.

    """
    if lines := [str(need) for need in needs]:
        more = f"\nand {len(lines) - 10} more" if len(lines) > 10 else ""
        raise UsageError("\n".join(lines[:10]) + more)
