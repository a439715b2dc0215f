"""Pipelines: what a `uses:` needs in the build environment, and which sources it brings.

The steps of a definition are walked as melange's `compile` does
(https://pkg.go.dev/chainguard.dev/melange@v0.56.0/pkg/build, CompilePipelines and gatherDeps):
inputs get their defaults, a false `if` cuts a branch off, and a named pipeline is looked for among
the directory's own before the built-in ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from dag.core.package.builtin import PIPELINES
from dag.core.package.model import (
    UNPRINTABLE,
    Checkout,
    Fetch,
    Need,
    Source,
    bare_name,
    pipeline_file,
)
from dag.core.package.problems import Broken
from dag.core.package.step import MAX_NESTING, MAX_STEPS, PipelineStep, StepReader
from dag.core.package.substitutions import Scope, Unresolvable, condition, substitute
from dag.core.package.yaml import NodeReader, compose, refuse_duplicates

_SOURCES = ("fetch", "git-checkout")
_NO_PIPELINE = "correct the step, or name the directory that has the pipeline with --pipeline-dir"


class Table:
    """The pipelines that can be named, in the order in which they are looked for."""

    def __init__(
        self,
        own: Mapping[str, tuple[str, bytes]],
        built_in: Mapping[str, PipelineStep] = PIPELINES,
        behind: Collection[str] = (),
    ) -> None:
        """Take the text of `own` pipelines, `uses` → (file, text), and the `built_in` ones.

        The built-in ones go before those that are `behind` them.
        """
        self._own = {uses: one for uses, one in own.items() if uses not in {*behind} & {*built_in}}
        self._known: dict[str, PipelineStep] = {}
        self._built_in = built_in

    def find(self, uses: str) -> PipelineStep | None:
        """Return the pipeline that `uses` names, or None.

        Raises:
            Unresolvable: the pipeline's file is broken.

        """
        step = self._known.get(uses)
        if step is None:
            # melange cleans the path of a file, but takes the name of a built-in as it is.
            own = self._own.get(pipeline_file(uses))
            step = self._built_in.get(uses) if own is None else self._parse(*own)
            if step is not None:
                if uses not in _SOURCES and not (step.steps or step.condition):
                    step = step._replace(simple=not any("${{" in text for text in step.needs or ()))
                self._known[uses] = step
        return step

    def names(self) -> list[str]:
        """Return every name that can be used, sorted."""
        return sorted({*self._own, *self._built_in})

    @staticmethod
    def _parse(file: str, text: bytes) -> PipelineStep:
        tree = NodeReader(file)
        try:
            node = compose(text)
            if node is not None:
                refuse_duplicates(node)
            step = StepReader(tree).step(node)
        except Broken as broken:
            raise Unresolvable(f"{file}:{broken.line}: {broken.what}; {broken.fix}") from None
        if tree.problems:
            raise Unresolvable(str(tree.problems[0]))
        return step


class _Way(NamedTuple):
    """The way on which the compiler came to a step."""

    line: int
    where: str
    way: str
    depth: int
    runs: bool


class Compiler:
    """A walk over the steps of one definition, which gathers what they need and fetch."""

    def __init__(self, table: Table, file: str, report: Callable[[int, str, str], None]) -> None:
        """Take the pipelines, the definition's name, and who is told of (line, what, fix)."""
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
            if self._budget < 0:  # that is reported already
                return
            try:
                self._step(step, scope, _Way(step.line, where, "", 0, runs=True))
            except Unresolvable as error:
                fix = error.fix or "correct the step, or the pipeline that it uses"
                self.report(step.line, str(error), fix)

    def _step(self, step: PipelineStep, scope: Scope, at: _Way) -> None:
        self._budget -= 1
        if self._budget < 0:
            raise Unresolvable(f"with its pipelines the file has more than {MAX_STEPS:,} steps")
        if at.depth > MAX_NESTING:
            raise Unresolvable(
                f"the pipelines are nested deeper than {MAX_NESTING} levels; do they use themselves?"
            )
        uses, body, way, inputs = step.uses, step, at.way, step.inputs or {}
        if uses:
            self.used.add(uses)
            way = f"{way} > {uses}" if way else f"uses {uses}"
            if not step.steps:
                body = self._find(uses)
                inputs = _declared(inputs, body.inputs) if inputs else body.inputs or {}
        needs = step.needs if body.needs is None else body.needs
        if body.simple and (step.needs is None or step.plain) and not step.condition:
            # Most steps come here: what they need depends on nothing.
            if needs:
                self._need(needs, scope, at, way, runs=at.runs)
            return
        inner = scope.inner(step.given, inputs)
        when = step.condition if body.condition is None else body.condition
        # melange refuses an undefined variable even in a step that does not run.
        runs = (not when or condition(when, inner, judge=at.runs)) and at.runs
        if uses in _SOURCES:
            make: Callable[..., Source] = self._fetch if uses == "fetch" else self._checkout
            self.sources.append(make(inner, at.line, runs=runs))
        if needs:
            self._need(needs, inner, at, way, runs=runs)
        where = at.where if uses or "nested " in at.where else f"{at.where}nested "
        for nested in body.steps:
            # A step of a pipeline file has no line in the definition; the step that uses it has.
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
                raise Unresolvable(f"{way or 'the step'} needs {what}, which is not a package")
            if package not in self.needs:
                reason = f"{at.where}{way or 'needs'}"
                self.needs[package] = Need(package, self.file, at.line, reason)

    def _find(self, uses: str) -> PipelineStep:
        if uses.startswith("/") or ".." in uses:
            raise Unresolvable(f"uses: {uses} leads out of the directory of pipelines")
        body = self.table.find(uses)
        if body is None:
            from difflib import get_close_matches

            close = get_close_matches(uses, self.table.names(), n=3)
            guess = f"; did you mean {' or '.join(close)}?" if close else ""
            raise Unresolvable(f"there is no pipeline {uses!r}{guess}", _NO_PIPELINE)
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


def _declared(
    by_step: Mapping[str, str | None], by_file: Mapping[str, str | None] | None
) -> Mapping[str, str | None]:
    """Return the inputs of a step that has some itself, and of the pipeline's file read over them."""
    if by_file is None:
        return {}
    return {**by_step, **{k: by_step.get(k) if v is None else v for k, v in by_file.items()}}


def _value(scope: Scope, name: str) -> str:
    if not scope.knows(f"inputs.{name}"):
        return ""
    return scope(f"inputs.{name}")
