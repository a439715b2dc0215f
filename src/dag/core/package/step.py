"""Steps of pipelines as they are written, without their shell text.

A pipeline file is a step with declared inputs, so both are read into the same class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from yaml.nodes import Node

from dag.core.package.substitutions import Replacer
from dag.core.package.yaml import NodeReader, is_null, line_of

MAX_STEPS = 100_000
"""How many steps a file may have, and how many a definition may have with its pipelines."""
MAX_NESTING = 50


class PipelineStep(NamedTuple):
    """One step, or a whole pipeline file."""

    line: int
    uses: str = ""
    given: Mapping[str, str] = {}
    """The values of `with`."""
    needs: tuple[str, ...] | None = None
    condition: str | None = None
    """None if there is no `if`; an empty one holds, and goes before that of the step that uses it."""
    steps: tuple[PipelineStep, ...] = ()
    inputs: Mapping[str, str | None] | None = {}
    """The declared inputs and their defaults. In a pipeline's file, an input that is null keeps the
    default of the step that uses it; None takes all inputs of that step away."""
    plain: bool = False
    """Neither the step nor the steps in it refer to a variable."""
    simple: bool = False
    """The step needs the same whatever it is given, and has no steps in it."""


class StepReader:
    """A reader of one file's steps, which allows only so many of them."""

    def __init__(self, tree: NodeReader) -> None:
        """Take the reader of the file's nodes, which collects the problems."""
        self._tree = tree
        self._left = MAX_STEPS
        """How many more steps the file may have; an alias counts each time."""

    def steps(self, node: Node | None) -> tuple[PipelineStep, ...]:
        """Return the steps of a list."""
        if node is None:
            return ()
        return tuple(map(self.step, self._tree.items(node, "pipeline")))

    def step(self, node: Node | None, depth: int = 0) -> PipelineStep:
        """Return one step with the steps in it; `depth` is how many steps it is inside of."""
        if node is None:
            return PipelineStep(1, plain=True)
        tree, line = self._tree, line_of(node)
        self._left -= 1
        if self._left < 0 or depth > MAX_NESTING:
            if self._left == -1:
                what = f"the file has more than {MAX_STEPS:,} steps"
                tree.problem(line, what, "split the pipeline")
            elif depth > MAX_NESTING:
                what = f"the steps are nested deeper than {MAX_NESTING} levels"
                tree.problem(line, what, "flatten them")
            return PipelineStep(line, plain=True)
        entries = tree.mapping(node, "a pipeline step")
        uses_node = entries.get("uses")
        given = tree.strings(entries["with"], "with") if "with" in entries else {}
        needs: tuple[str, ...] | None = None
        if "needs" in entries:
            contents = tree.mapping(entries["needs"], "needs")
            if is_null(entries["needs"]):
                needs = ()  # in a pipeline's file, that takes away what the step needs itself
            elif "packages" in contents:
                listed = tree.texts(contents["packages"], "needs.packages")
                needs = tuple(text for text, _ in listed)
        steps: tuple[PipelineStep, ...] = ()
        if "pipeline" in entries:
            nested = tree.items(entries["pipeline"], "pipeline")
            steps = tuple(self.step(item, depth + 1) for item in nested)
        when = None
        if "if" in entries and not is_null(entries["if"]):
            when = tree.text(entries["if"], "if")
        return PipelineStep(
            line_of(uses_node) if uses_node is not None else line,
            tree.text(uses_node, "uses") if uses_node is not None else "",
            given,
            needs,
            when,
            steps,
            self._inputs(entries["inputs"]) if "inputs" in entries else {},
            "${{" not in (when or "")
            and not (given and "${{" in "\n".join(given.values()))
            and not (needs and "${{" in "\n".join(needs))
            and not (steps and not all(step.plain for step in steps)),
        )

    def _inputs(self, node: Node) -> dict[str, str | None] | None:
        if is_null(node):
            return None
        inputs: dict[str, str | None] = {}
        for name, declared in self._tree.mapping(node, "inputs").items():
            fields = self._tree.mapping(declared, f"input {name}")
            default = self._tree.text(fields.get("default"), f"the default of {name}")
            inputs[name] = None if is_null(declared) else default
        return inputs


def replace_in_steps(
    steps: tuple[PipelineStep, ...], replace: Replacer
) -> tuple[PipelineStep, ...]:
    """Return the steps with melange's first, textual substitution done."""
    return tuple(
        step
        if step.plain
        else step._replace(
            given={name: replace(value) for name, value in step.given.items()},
            needs=step.needs and tuple(map(replace, step.needs)),
            condition=step.condition and replace(step.condition),
            steps=replace_in_steps(step.steps, replace),
        )
        for step in steps
    )
