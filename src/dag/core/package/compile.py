"""One definition's text → `Package`: what `melange compile` would print, with the lines kept.

The order of the substitutions is melange's (ParseConfiguration, then NewSubstitutionMap and
Compile): https://pkg.go.dev/chainguard.dev/melange@v0.56.0/pkg/config and …/pkg/build.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from yaml.nodes import Node, ScalarNode

from dag.core.arch import Arch
from dag.core.package.constraints import is_version
from dag.core.package.dependencies import (
    Text,
    TextResolver,
    WrittenDependencies,
    read_dependencies,
    read_texts,
    replaced_texts,
)
from dag.core.package.model import (
    UNPRINTABLE,
    BrokenDefinition,
    Named,
    Need,
    Package,
    Subpackage,
    bare_name,
)
from dag.core.package.nametext import names_in_text
from dag.core.package.pipelines import Compiler, Table
from dag.core.package.problems import Broken, FileProblem
from dag.core.package.quantities import read_resources
from dag.core.package.scalars import number_in, number_of
from dag.core.package.shapes import is_other, may_define
from dag.core.package.step import MAX_STEPS, PipelineStep, StepReader, replace_in_steps
from dag.core.package.substitutions import (
    Replacer,
    Scope,
    Unresolvable,
    evaluate,
    lookup_in,
    shown,
    substitute,
)
from dag.core.package.targetarch import unknown_architectures
from dag.core.package.variables import NO_VARIABLES, Variables
from dag.core.package.yaml import NodeReader, compose, is_null, line_of, refuse_duplicates

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9+_.-]*")
_VERSION = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9+_.~-]{0,199}")
_VERSION_FIX = "give package.version as apk writes it, like 1.2.3"
MAX_EPOCH = 2**64 - 1
_LONGEST_NAME = 200
PIPELINES = "pipelines"
"""The directory of the local pipelines, which belongs to no package."""


def read_definition(
    data: bytes,
    file: str,
    *,
    arch: Arch,
    table: Table,
    build_options: Sequence[str] = (),
    variables: Mapping[str, str] = NO_VARIABLES,
) -> Package | BrokenDefinition | None:
    """Return the definition in `data`, read from `file`, resolved for one architecture.

    `variables` win over the definition's own. It is None if this is no definition (it has no
    `package:` mapping), and a broken one if it has problems.
    """
    package, problems = _compile(data, file, arch, table, (build_options, variables))
    if not problems:
        return package
    used = package.pipelines if package else ()
    return BrokenDefinition(file, names_in_text(data, file, package), tuple(problems), used)


def _compile(
    data: bytes,
    file: str,
    arch: Arch,
    table: Table,
    given: tuple[Sequence[str], Mapping[str, str]],
) -> tuple[Package | None, list[FileProblem]]:
    """Return the package as far as it can be resolved, and all problems."""
    tree = NodeReader(file)
    try:
        node = compose(data)
        if not may_define(node):
            return None, []
        refuse_duplicates(node)
        root = tree.mapping(node, "the definition")
        if "package" not in root or is_other(root["package"]):
            return None, tree.problems
        package = _Definition(root, tree, arch, table, Variables(root, tree, *given)).package()
    except Broken as broken:
        if b"package" not in data.replace(b"\0", b""):  # UTF-16, too
            return None, []
        return None, [FileProblem(file, broken.line, broken.what, broken.fix)]
    except RecursionError:
        what = "merge keys, aliases or variables refer to each other too deeply"
        return None, [FileProblem(file, 1, what, "flatten them")]
    return package, tree.problems


@dataclass(frozen=True, slots=True)
class _Part:
    """A subpackage as it is written, or one that a range made of it."""

    name: Text
    condition: Text
    dependencies: WrittenDependencies
    steps: tuple[PipelineStep, ...]

    def replaced_by(self, replace: Replacer) -> _Part:
        return _Part(
            self.name.replaced_by(replace),
            self.condition.replaced_by(replace),
            self.dependencies.replaced_by(replace),
            replace_in_steps(self.steps, replace),
        )


class _Definition:
    """A definition while it is resolved."""

    def __init__(
        self,
        root: dict[str, Node],
        tree: NodeReader,
        arch: Arch,
        table: Table,
        variables: Variables,
    ) -> None:
        self.root = root
        self.tree = tree
        self.arch = arch
        self.table = table
        self.reader = StepReader(tree)
        self.variables = variables

    def package(self) -> Package | None:
        tree = self.tree
        fields = tree.mapping(self.root["package"], "package")
        at = line_of(self.root["package"])
        if not fields:
            if not tree.problems:
                tree.problem(at, "the package has no name", "add package.name")
            return None
        line = line_of(fields["name"]) if "name" in fields else at
        facts = {
            "package.name": tree.text(fields.get("name"), "package.name"),
            "package.version": tree.text(fields.get("version"), "package.version"),
            "package.description": tree.text(fields.get("description"), "package.description"),
        }
        epoch = self.epoch(fields.get("epoch"))
        variables = self.variables
        replace = Replacer(variables.transform(variables.known_before(facts, epoch)))
        facts = {key: replace(value) for key, value in facts.items()}
        name, version = facts["package.name"], facts["package.version"]
        self.check_name(name, line, "package.name")
        self.check_directory(name, line)
        unbuildable: tuple[FileProblem, ...] = ()
        if not is_version(version):
            at = line_of(fields["version"]) if "version" in fields else at
            what = f"melange builds no package with the version {shown(version)}"
            unbuildable = (FileProblem(tree.file, at, what, _VERSION_FIX),)
        if not _VERSION.fullmatch(version):
            said = f"{shown(version)} is not a version"
            what = said if version else f"the package {name} has no version"
            tree.problem(at, what, _VERSION_FIX)

        # The second pass sees the package's resolved name, as melange's does.
        untransformed = variables.known_before(facts, epoch)
        values = variables.transform(dict(untransformed))
        own = read_dependencies(fields.get("dependencies"), tree).replaced_by(replace)
        parts = self.parts(replace, values)
        resolver = TextResolver(tree, lookup_in(values), lookup_in(untransformed))
        environment = self.environment(replace, resolver)
        names = [name, *(part.name.text for part in parts)]
        base = variables.pipeline_scope(names, version, epoch, self.arch)
        compiler = Compiler(self.table, tree.file, tree.problem)
        compiler.needs = environment
        steps = self.reader.steps(self.root.get("pipeline"))
        compiler.add(replace_in_steps(steps, replace), base)
        self.check_twice(Text(name, line), parts)
        subpackages, left_out = self.subpackages(parts, base, resolver, compiler)
        dependencies = resolver.dependencies(own)
        listed = read_texts(fields.get("target-architecture"), tree, "target-architecture")
        architectures = [one.replaced_by(replace) for one in listed]
        return Package(
            name=name,
            version=version,
            epoch=epoch,
            file=tree.file,
            line=line,
            subpackages=subpackages,
            left_out=left_out,
            environment=tuple(environment.values()),
            repositories=self.named(replace, "build_repositories", "repositories"),
            keyring=self.named(replace, "keyring"),
            runtime=dependencies.runtime,
            provides=dependencies.provides,
            provider_priority=dependencies.priority,
            sources=tuple(compiler.sources),
            pipelines=tuple(sorted(compiler.used)),
            resources=read_resources(tree, fields.get("resources")),
            target_architecture=tuple(one.text for one in architectures),
            options=self.variables.enabled,
            warnings=unknown_architectures(architectures, tree.file),
            unbuildable=unbuildable,
        )

    def epoch(self, node: Node | None) -> int:
        text = self.tree.text(node, "package.epoch")
        if not isinstance(node, ScalarNode) or is_null(node):
            return 0
        number = number_of(node)
        if number is not None and -1 < number < MAX_EPOCH + 1:
            return int(number)  # melange leaves a fraction out, too
        what, fix = "is not a whole number", "write it in decimal digits, like 0"
        if number is not None and number > 0:
            what, fix = f"is larger than {MAX_EPOCH}", "begin again at 0 with the next version"
        elif number is None and number_in(text) is not None:
            what, fix = "is a text, and not a number", "write it without quotes and tags, like 0"
        self.tree.problem(line_of(node), f"epoch {text[:40]!r} {what}", fix)
        return 0

    def check_name(self, name: str, line: int, what: str) -> None:
        if not name:
            self.tree.problem(line, f"{what} is missing", "name the package")
        elif not _NAME.fullmatch(name):
            fix = "use letters, digits and + _ . -, beginning with a letter or digit"
            self.tree.problem(line, f"{what} {name[:60]!r} is not the name of a package", fix)
        elif len(name) > _LONGEST_NAME:
            told = f"{what} {name[:60]!r}… has {len(name):,} characters"
            self.tree.problem(line, told, f"use at most {_LONGEST_NAME}")

    def check_directory(self, name: str, line: int) -> None:
        """Refuse a definition that would take the pipelines for its own files."""
        if PIPELINES in (name, self.tree.file.removesuffix(".yaml")):
            what = (
                f"{PIPELINES!r} is reserved: {PIPELINES}/ has the local pipelines of all packages"
            )
            self.tree.problem(line, what, "give the file and the package another name")

    def check_twice(self, package: Text, parts: Sequence[_Part]) -> None:
        """Refuse a name that is used twice, even if an `if` leaves one of the two out."""
        lines = dict([package])
        for name, line in (part.name for part in parts):
            if name in lines:
                what = f"the subpackage name {name!r} is already used in line {lines[name]}"
                fix = "rename or remove one of the two"
                if lines[name] == line:
                    what = f"the subpackage name {name!r} is used more than once"
                    fix = "give each its own, with ${{range.key}} in it if a range makes them"
                self.tree.problem(line, what, fix)
            lines.setdefault(name, line)

    def parts(self, replace: Replacer, values: Mapping[str, str]) -> list[_Part]:
        """Return the subpackages with their ranges expanded."""
        nodes = self.tree.items(self.root.get("subpackages"), "subpackages")
        data: dict[str, dict[str, str]] = {}
        for node in self.tree.items(self.root.get("data"), "data"):
            fields = self.tree.mapping(node, "an entry of data")
            name = self.tree.text(fields.get("name"), "data.name")
            data[name] = self.tree.strings(fields.get("items"), f"items of data {name}")
        parts: list[_Part] = []
        left = MAX_STEPS
        for node in nodes:
            before = len(parts)
            fields = self.tree.mapping(node, "a subpackage")
            part = self.part(fields, line_of(node))
            over = self.tree.text(fields.get("range"), "range")
            if not over:
                parts.append(part.replaced_by(replace))
            elif over not in data:
                fix = f"data has {', '.join(sorted(data))}" if data else "define it in data"
                what = f"the range {over!r} is not defined"
                self.tree.problem(line_of(fields["range"]), what, fix)
            else:
                for key, value in sorted(data[over].items())[
                    : MAX_STEPS // (1 + len(part.steps)) + 1
                ]:
                    items = {**values, "range.key": key, "range.value": value}
                    parts.append(part.replaced_by(Replacer(items)))
            left -= sum(1 + len(one.steps) for one in parts[before:])
            if left < 0:
                what = f"the definition has more than {MAX_STEPS:,} subpackages and steps"
                self.tree.problem(line_of(node), what, "split the definition")
                break
        return parts

    def part(self, fields: Mapping[str, Node], line: int) -> _Part:
        tree = self.tree
        name, when = fields.get("name"), fields.get("if")
        return _Part(
            Text(tree.text(name, "a subpackage's name"), line_of(name) if name else line),
            Text(tree.text(when, "if"), line_of(when) if when else line),
            read_dependencies(fields.get("dependencies"), tree),
            self.reader.steps(fields.get("pipeline")),
        )

    @cached_property
    def contents(self) -> Mapping[str, Node]:
        environment = self.tree.mapping(self.root.get("environment"), "environment")
        return self.tree.mapping(environment.get("contents"), "environment.contents")

    def named(self, replace: Replacer, *fields: str) -> tuple[Named, ...]:
        """Return the repositories or keys of these fields of the environment."""
        found = (
            one.replaced_by(replace)
            for field in fields
            for one in read_texts(
                self.contents.get(field), self.tree, f"environment.contents.{field}"
            )
        )
        return tuple(Named(one.text, self.tree.file, one.line) for one in found if one.text)

    def environment(self, replace: Replacer, resolver: TextResolver) -> dict[str, Need]:
        """Return the packages that the definition itself lists, by their texts."""
        tree = self.tree
        listed = self.contents.get("packages")
        what = "environment.contents.packages"
        asked = [
            Need(resolver.package(one), tree.file, one.line, "environment")
            for one in replaced_texts(read_texts(listed, tree, what), replace)
        ]
        for name in self.variables.build_options:
            packages = self.variables.option(name, "environment", "contents", "packages")
            asked += [
                Need(one.text, tree.file, one.line, f"build option {name}")
                for one in read_texts(packages.get("add"), tree, "packages.add")
            ]
            unwanted = read_texts(packages.get("remove"), tree, "packages.remove")
            removed = {one.text for one in unwanted}
            asked = [need for need in asked if need.text not in removed]
        needs: dict[str, Need] = {}
        for need in asked:
            if bare_name(need.text) and not UNPRINTABLE.search(need.text):
                needs.setdefault(need.text, need)
            else:
                said = f"{need.text!r} in {what} is not a package"
                said = said if need.text else f"an entry of {what} is empty"
                tree.problem(need.line, said, "name a package, or remove the entry")
        return needs

    def subpackages(
        self, parts: Sequence[_Part], base: Scope, resolver: TextResolver, compiler: Compiler
    ) -> tuple[tuple[Subpackage, ...], tuple[Subpackage, ...]]:
        """Return those that are built, and those that an `if` leaves out; both have needs."""
        built: list[Subpackage] = []
        left_out: list[Subpackage] = []
        for part in parts:
            name, line = part.name
            self.check_name(name, line, "subpackage name")
            place = f"/home/build/melange-out/{name}"
            scope = Scope(
                {
                    "subpkg.name": name,
                    "context.name": name,
                    "targets.subpkgdir": place,
                    "targets.contextdir": place,
                },
                base,
            )
            compiler.add(part.steps, scope, name)
            own = resolver.dependencies(part.dependencies, of_subpackage=True)
            subpackage = Subpackage(
                name, self.tree.file, line, own.runtime, own.provides, own.priority
            )
            (built if self.holds(part.condition, scope) else left_out).append(subpackage)
        return tuple(built), tuple(left_out)

    def holds(self, when: Text, scope: Scope) -> bool:
        text, line = when
        if not text:
            return True
        try:
            substitute(text, scope)
            # melange 0.56 resolves the condition and forgets the result: what builds looks at the
            # text after the first substitution, where ${{build.arch}} and the like are empty.
            return evaluate(text)
        except Unresolvable as error:
            self.tree.problem(line, f"if: {error}", error.fix or "correct the condition")
            return True
