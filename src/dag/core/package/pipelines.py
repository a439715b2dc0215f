"""Pipelines: what `uses:` needs in the build environment, and which sources it brings.

A step becomes a `PipelineStep` without its shell text; a pipeline file is a step with inputs. Compiling
walks steps as melange's `compile` does (https://pkg.go.dev/chainguard.dev/melange@v0.56.0/pkg/build,
CompilePipelines and gatherDeps): inputs get their defaults, a false `if` cuts a branch off, and a
named pipeline is looked for among the directory's own before the built-in ones.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from dag.core.package.model import UNPRINTABLE, Checkout, Fetch, Need, Source, bare_name
from dag.core.package.substitutions import Replacer, Scope, Unresolvable, condition, substitute

if TYPE_CHECKING:
    from yaml.nodes import Node

    from dag.core.package.yaml import NodeReader

MAX_STEPS = 100_000
MAX_NESTING = 50
_SOURCES = ("fetch", "git-checkout")


class PipelineStep(NamedTuple):
    """One step, or a whole pipeline file."""

    line: int
    uses: str = ""
    given: Mapping[str, str] = {}
    """The values of `with`."""
    needs: tuple[str, ...] | None = None
    condition: str = ""
    steps: tuple[PipelineStep, ...] = ()
    inputs: Mapping[str, str] = {}
    """The declared inputs and their defaults."""
    plain: bool = False
    """Nothing in it, nor in its steps, refers to a variable."""
    simple: bool = False
    """It needs the same whatever it is given, and nothing follows from it."""


class Table:
    """The pipelines that can be named, in the order in which they are looked for."""

    def __init__(
        self,
        own: Mapping[str, tuple[str, bytes]],
        built_in: Mapping[str, PipelineStep] | None = None,
    ) -> None:
        """Take the text of `own` pipelines, `uses` → (file, text), and the `built_in` ones."""
        self._own = own
        self._known: dict[str, PipelineStep] = {}
        if built_in is None:
            from dag.core.package.builtin import PIPELINES

            built_in = PIPELINES
        self._built_in = built_in

    def find(self, uses: str) -> PipelineStep | None:
        """The pipeline that `uses` names, or None.

        Raises:
            Unresolvable: the pipeline's file is broken.

        """
        step = self._known.get(uses)
        if step is None:
            # melange joins and cleans the path of a file, but takes the name of a built-in as it is.
            own = self._own.get(posixpath.normpath(uses))
            step = self._built_in.get(uses) if own is None else self._parse(*own)
            if step is not None:
                if uses not in _SOURCES and not (step.steps or step.condition):
                    step = step._replace(simple=not any("${{" in text for text in step.needs or ()))
                self._known[uses] = step
        return step

    def names(self) -> list[str]:
        """Every name that can be used."""
        return sorted({*self._own, *self._built_in})

    @staticmethod
    def _parse(file: str, text: bytes) -> PipelineStep:
        from dag.core.package.yaml import Broken, NodeReader, compose, refuse_duplicates

        tree = NodeReader(file)
        try:
            node = compose(text)
            if node is not None:
                refuse_duplicates(node)
            step = read_step(node, tree, [MAX_STEPS])
        except Broken as broken:
            raise Unresolvable(f"{file}:{broken.line}: {broken.what}; {broken.fix}") from None
        if tree.problems:
            raise Unresolvable(str(tree.problems[0]))
        return step


def read_step(
    node: Node | None, tree: NodeReader, budget: list[int], depth: int = 0
) -> PipelineStep:
    """Read one step; `budget` holds how many more the file may have, aliases counted."""
    from dag.core.package.yaml import line_of

    if node is None:
        return PipelineStep(1, plain=True)
    line = line_of(node)
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_NESTING:
        if budget[0] == -1:
            tree.problem(line, f"more than {MAX_STEPS:,} steps", "split the pipeline")
        elif depth > MAX_NESTING:
            tree.problem(line, f"steps nested deeper than {MAX_NESTING}", "flatten them")
        return PipelineStep(line, plain=True)
    entries = tree.mapping(node, "a pipeline step")
    uses_node = entries.get("uses")
    given = tree.strings(entries["with"], "with") if "with" in entries else {}
    needs = None
    if "needs" in entries:
        contents = tree.mapping(entries["needs"], "needs")
        if "packages" in contents:
            listed = tree.texts(contents["packages"], "needs.packages")
            needs = tuple(text for text, _ in listed)
    steps: tuple[PipelineStep, ...] = ()
    if "pipeline" in entries:
        nested = tree.items(entries["pipeline"], "pipeline")
        steps = tuple(read_step(item, tree, budget, depth + 1) for item in nested)
    inputs: dict[str, str] = {}
    if "inputs" in entries:
        for name, declared in tree.mapping(entries["inputs"], "inputs").items():
            fields = tree.mapping(declared, f"input {name}")
            inputs[name] = tree.text(fields.get("default"), f"the default of {name}")
    when = tree.text(entries["if"], "if") if "if" in entries else ""
    return PipelineStep(
        line_of(uses_node) if uses_node is not None else line,
        tree.text(uses_node, "uses") if uses_node is not None else "",
        given,
        needs,
        when,
        steps,
        inputs,
        "${{" not in when
        and not (given and "${{" in "\n".join(given.values()))
        and not (needs and "${{" in "\n".join(needs))
        and not (steps and not all(step.plain for step in steps)),
    )


def read_steps(node: Node | None, tree: NodeReader, budget: list[int]) -> tuple[PipelineStep, ...]:
    """Read a list of steps."""
    if node is None:
        return ()
    return tuple(read_step(item, tree, budget) for item in tree.items(node, "pipeline"))


def replaced(steps: tuple[PipelineStep, ...], replace: Replacer) -> tuple[PipelineStep, ...]:
    """The steps with melange's first, textual substitution done."""
    return tuple(
        step
        if step.plain
        else step._replace(
            given={name: replace(value) for name, value in step.given.items()},
            needs=step.needs and tuple(map(replace, step.needs)),
            condition=replace(step.condition),
            steps=replaced(step.steps, replace),
        )
        for step in steps
    )


class _Way(NamedTuple):
    """How the compiler came to a step."""

    line: int
    where: str
    way: str
    depth: int
    runs: bool


class Compiler:
    """Gathers what the steps of one definition need and fetch."""

    def __init__(self, table: Table, file: str, report: Callable[[int, str, str], None]) -> None:
        self.table = table
        self.file = file
        self.report = report
        self.needs: dict[str, Need] = {}
        self.sources: list[Source] = []
        self.used: set[str] = set()
        self._budget = MAX_STEPS

    def add(self, steps: tuple[PipelineStep, ...], scope: Scope, subpackage: str = "") -> None:
        """Gather from `steps`, which belong to the package itself or to `subpackage`."""
        where = f"subpackage {subpackage} " if subpackage else ""
        for step in steps:
            if self._budget < 0:  # told already
                return
            try:
                self._step(step, scope, _Way(step.line, where, "", 0, runs=True))
            except Unresolvable as error:
                self.report(step.line, str(error), "correct the step, or the pipeline that it uses")

    def _step(self, step: PipelineStep, scope: Scope, at: _Way) -> None:
        self._budget -= 1
        if self._budget < 0:
            raise Unresolvable(f"with the pipelines that are used, more than {MAX_STEPS:,} steps")
        if at.depth > MAX_NESTING:
            raise Unresolvable(
                f"pipelines nested deeper than {MAX_NESTING}: do they use themselves?"
            )
        uses, body = step.uses, step
        if uses and not step.steps:
            body = self._find(uses)
        way = at.way
        if uses:
            self.used.add(uses)
            way = f"{way} > {uses}" if way else f"uses {uses}"
        needs = step.needs if body.needs is None else body.needs
        if body.simple and (step.needs is None or step.plain) and not step.condition:
            # Most steps: what they need depends on nothing.
            if needs:
                self._need(needs, scope, at, way, runs=at.runs)
            return
        inner = scope.inner(step.given, body.inputs)
        when = body.condition or step.condition
        # melange refuses an undefined variable also in what does not run.
        runs = (not when or condition(when, inner, judge=at.runs)) and at.runs
        if uses in _SOURCES:
            make: Callable[..., Source] = self._fetch if uses == "fetch" else self._checkout
            self.sources.append(make(inner, at.line, runs=runs))
        if needs:
            self._need(needs, inner, at, way, runs=runs)
        where = at.where if uses or "nested " in at.where else f"{at.where}nested "
        for nested in body.steps:
            # Steps written in the definition have lines of their own; a pipeline file's do not.
            line = at.line if way else nested.line
            self._step(nested, inner, _Way(line, where, way, at.depth + 1, runs))

    def _need(
        self, needs: tuple[str, ...], scope: Scope, at: _Way, way: str, *, runs: bool
    ) -> None:
        for text in needs:
            package = substitute(text, scope)
            if not runs:
                continue
            if not bare_name(package) or UNPRINTABLE.search(package):
                what = repr(package[:60]) if package else "a package without a name"
                raise Unresolvable(f"{way or 'the step'} needs {what}, which is no package")
            if package not in self.needs:
                reason = f"{at.where}{way or 'needs'}"
                self.needs[package] = Need(package, self.file, at.line, reason)

    def _find(self, uses: str) -> PipelineStep:
        if uses.startswith("/") or ".." in uses:
            raise Unresolvable(f"uses: {uses} leaves the directory of pipelines")
        body = self.table.find(uses)
        if body is None:
            from difflib import get_close_matches

            close = get_close_matches(uses, self.table.names(), n=3)
            guess = f" (is it {' or '.join(close)}?)" if close else ""
            raise Unresolvable(f"there is no pipeline {uses!r}{guess}")
        return body

    def _fetch(self, scope: Scope, line: int, *, runs: bool) -> Fetch:
        return Fetch(
            uri=_value(scope, "uri"),
            sha256=_value(scope, "expected-sha256"),
            sha512=_value(scope, "expected-sha512"),
            expected_none=bool(_value(scope, "expected-none")),
            file=self.file,
            line=line,
            runs=runs,
        )

    def _checkout(self, scope: Scope, line: int, *, runs: bool) -> Checkout:
        return Checkout(
            repository=_value(scope, "repository"),
            tag=_value(scope, "tag"),
            branch=_value(scope, "branch"),
            expected_commit=_value(scope, "expected-commit"),
            depth=_value(scope, "depth") or "unset",
            recurse_submodules=_value(scope, "recurse-submodules") == "true",
            cherry_picks=_value(scope, "cherry-picks"),
            destination=_value(scope, "destination") or ".",
            file=self.file,
            line=line,
            runs=runs,
            is_branch_tip=_value(scope, "expected-commit-is-branch-tip") == "true",
        )


def _value(scope: Scope, name: str) -> str:
    if not scope.knows(f"inputs.{name}"):
        return ""
    return scope(f"inputs.{name}")
