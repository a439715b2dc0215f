"""One definition's text → `Package`: what `melange compile` would print, with the lines kept.

The order of the substitutions is melange's (ParseConfiguration, then NewSubstitutionMap and
Compile): https://pkg.go.dev/chainguard.dev/melange@v0.56.0/pkg/config and …/pkg/build.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import TypeGuard

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dag.core.arch import Arch
from dag.core.package.model import (
    UNPRINTABLE,
    DeclaredResources,
    Need,
    Package,
    Subpackage,
    bare_name,
)
from dag.core.package.pipelines import (
    MAX_STEPS,
    Compiler,
    PipelineStep,
    Table,
    read_steps,
    replaced,
)
from dag.core.package.substitutions import (
    Lookup,
    Replacer,
    Scope,
    Unresolvable,
    evaluate,
    lookup_in,
    substitute,
)
from dag.core.package.variables import Variables
from dag.core.package.yaml import (
    Broken,
    FileProblem,
    NodeReader,
    compose,
    is_null,
    line_of,
    refuse_duplicates,
)

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9+_.-]*")
_VERSION = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9+_.~-]*")
_PRIORITY = re.compile(r"[+-]?[0-9]{1,18}")
MAX_EPOCH = 2**64 - 1

_Text = tuple[str, int]


def compile_definition(
    data: bytes, file: str, *, arch: Arch, table: Table, build_options: Sequence[str] = ()
) -> tuple[Package | None, list[FileProblem]]:
    """Resolve the definition in `data`, read from `file`, for one architecture.

    The package is None if this is no definition (no `package:` mapping) or beyond use; in the
    second case there are problems.
    """
    tree = NodeReader(file)
    try:
        node = compose(data)
        if not _may_define(node):
            return None, []
        refuse_duplicates(node)
        root = tree.mapping(node, "the definition")
        if "package" not in root or _is_other(root["package"]):
            return None, tree.problems
        package = _Definition(root, tree, arch, table, build_options).package()
    except Broken as broken:
        if b"package" not in data.replace(b"\0", b""):  # UTF-16, too
            return None, []
        return None, [FileProblem(file, broken.line, broken.what, broken.fix)]
    except RecursionError:
        what = "merge keys, aliases or variables refer to each other too deeply"
        return None, [FileProblem(file, 1, what, "flatten them")]
    return (None if tree.problems else package), tree.problems


def _may_define(node: Node | None) -> TypeGuard[MappingNode]:
    """Whether the document is a mapping that has a package, or merges what may have one."""
    return isinstance(node, MappingNode) and any(
        key.value == "<<" or (key.value == "package" and not _is_other(value))
        for key, value in node.value
    )


def _is_other(package: Node) -> bool:
    """Whether this is what other programs' files may call a package: a text, a list."""
    return isinstance(package, SequenceNode) or (
        isinstance(package, ScalarNode) and not is_null(package)
    )


@dataclass(slots=True)
class _Dependencies:
    runtime: list[_Text]
    provides: list[_Text]
    priority: _Text

    def replaced(self, replace: Replacer) -> _Dependencies:
        return _Dependencies(
            [(replace(text), line) for text, line in self.runtime],
            [(replace(text), line) for text, line in self.provides],
            (replace(self.priority[0]), self.priority[1]),
        )


@dataclass(slots=True)
class _Part:
    """A subpackage as written, or one that a range made of it."""

    name: _Text
    condition: _Text
    dependencies: _Dependencies
    steps: tuple[PipelineStep, ...]

    def replaced(self, replace: Replacer) -> _Part:
        return _Part(
            (replace(self.name[0]), self.name[1]),
            (replace(self.condition[0]), self.condition[1]),
            self.dependencies.replaced(replace),
            replaced(self.steps, replace),
        )


class _Definition:
    """The definition while it is being resolved."""

    def __init__(
        self,
        root: dict[str, Node],
        tree: NodeReader,
        arch: Arch,
        table: Table,
        build_options: Sequence[str],
    ) -> None:
        self.root = root
        self.tree = tree
        self.arch = arch
        self.table = table
        self.budget = [MAX_STEPS]
        self.variables = Variables(root, tree, build_options)

    def package(self) -> Package | None:
        tree = self.tree
        fields = tree.mapping(self.root["package"], "package")
        at = line_of(self.root["package"])
        if not fields:
            if not tree.problems:
                tree.problem(at, "package has no name", "add package.name")
            return None
        line = line_of(fields["name"]) if "name" in fields else at
        facts = {
            "package.name": tree.text(fields.get("name"), "package.name"),
            "package.version": tree.text(fields.get("version"), "package.version"),
            "package.description": tree.text(fields.get("description"), "package.description"),
        }
        epoch = self.epoch(fields.get("epoch"))
        variables = self.variables
        replace = Replacer(variables.transformed(variables.of(facts, epoch)))
        facts = {key: replace(value) for key, value in facts.items()}
        name, version = facts["package.name"], facts["package.version"]
        self.check_name(name, line, "package.name")
        if not _VERSION.fullmatch(version):
            at = line_of(fields["version"]) if "version" in fields else at
            what = f"{version!r} is no version" if version else f"package {name} has no version"
            tree.problem(at, what, "give package.version as apk has it, like 1.2.3")

        # The second pass sees the package's resolved name, as melange's does.
        plain = variables.of(facts, epoch)
        values = variables.transformed(dict(plain))
        own = self.dependencies(fields.get("dependencies")).replaced(replace)
        parts = self.parts(replace, values)
        resolver = _TextResolver(tree, lookup_in(values), lookup_in(plain))
        environment = self.environment(replace, resolver)
        names = [name, *(part.name[0] for part in parts)]
        base = variables.scope(names, version, epoch, self.arch)
        compiler = Compiler(self.table, tree.file, tree.problem)
        compiler.needs = environment
        steps = read_steps(self.root.get("pipeline"), tree, self.budget)
        compiler.add(replaced(steps, replace), base)
        self.check_twice((name, line), parts)
        subpackages, left_out = self.subpackages(parts, base, resolver, compiler)
        runtime, provides, priority = resolver.dependencies(own)
        resources = tree.strings(fields.get("resources"), "package.resources")
        return Package(
            name=name,
            version=version,
            epoch=epoch,
            file=tree.file,
            line=line,
            subpackages=subpackages,
            left_out=left_out,
            environment=tuple(environment.values()),
            runtime=runtime,
            provides=provides,
            provider_priority=priority,
            sources=tuple(compiler.sources),
            pipelines=tuple(sorted(compiler.used)),
            resources=DeclaredResources(
                *(resources.get(field, "") for field in DeclaredResources._fields)
            ),
            target_architecture=tuple(
                replace(text)
                for text, _ in tree.texts(fields.get("target-architecture"), "target-architecture")
            ),
            options=self.variables.enabled,
        )

    def epoch(self, node: Node | None) -> int:
        text = self.tree.text(node, "package.epoch")
        if node is None or not text:
            return 0
        if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_EPOCH)):
            epoch = int(text)
            if text == str(epoch) and epoch <= MAX_EPOCH:  # melange would take 010 for 8
                return epoch
        self.tree.problem(line_of(node), f"epoch {text!r} is no whole number", "write it like 0")
        return 0

    def check_name(self, name: str, line: int, what: str) -> None:
        if not name:
            self.tree.problem(line, f"{what} is missing", "name the package")
        elif not _NAME.fullmatch(name) or len(name) > 200:
            fix = "use letters, digits and + _ . -, beginning with a letter or digit"
            self.tree.problem(line, f"{what} {name[:60]!r} is no package name", fix)

    def check_twice(self, package: _Text, parts: Sequence[_Part]) -> None:
        """Refuse a name that is used twice, also if an `if` leaves one of the two out."""
        lines = dict([package])
        for name, line in (part.name for part in parts):
            if name in lines:
                what = f"the subpackage name {name!r} is already used in line {lines[name]}"
                self.tree.problem(line, what, "rename or remove one of the two")
            lines.setdefault(name, line)

    def dependencies(self, node: Node | None) -> _Dependencies:
        if node is None:
            return _Dependencies([], [], ("", 1))
        tree = self.tree
        fields = tree.mapping(node, "dependencies")
        priority = fields.get("provider-priority")
        return _Dependencies(
            tree.texts(fields.get("runtime"), "dependencies.runtime"),
            tree.texts(fields.get("provides"), "dependencies.provides"),
            (tree.text(priority, "provider-priority"), line_of(priority or node)),
        )

    def parts(self, replace: Replacer, values: Mapping[str, str]) -> list[_Part]:
        """The subpackages, ranges expanded."""
        nodes = self.tree.items(self.root.get("subpackages"), "subpackages")
        data: dict[str, dict[str, str]] = {}
        for node in self.tree.items(self.root.get("data"), "data"):
            fields = self.tree.mapping(node, "an entry of data")
            name = self.tree.text(fields.get("name"), "data.name")
            data[name] = self.tree.strings(fields.get("items"), f"items of data {name}")
        parts: list[_Part] = []
        for node in nodes:
            fields = self.tree.mapping(node, "a subpackage")
            part = self.part(fields, line_of(node))
            over = self.tree.text(fields.get("range"), "range")
            if not over:
                parts.append(part.replaced(replace))
            elif over not in data:
                known = f"data has {', '.join(sorted(data))}" if data else "there is no data"
                self.tree.problem(line_of(fields["range"]), f"undefined range {over!r}", known)
            else:
                for key, value in sorted(data[over].items())[
                    : MAX_STEPS // (1 + len(part.steps)) + 1
                ]:
                    items = {**values, "range.key": key, "range.value": value}
                    parts.append(part.replaced(Replacer(items)))
            if sum(1 + len(part.steps) for part in parts) > MAX_STEPS:
                what = f"more than {MAX_STEPS:,} subpackages and steps"
                self.tree.problem(line_of(node), what, "split the definition")
                break
        return parts

    def part(self, fields: Mapping[str, Node], line: int) -> _Part:
        tree = self.tree
        name, when = fields.get("name"), fields.get("if")
        return _Part(
            (tree.text(name, "a subpackage's name"), line_of(name) if name else line),
            (tree.text(when, "if"), line_of(when) if when else line),
            self.dependencies(fields.get("dependencies")),
            read_steps(fields.get("pipeline"), tree, self.budget),
        )

    def environment(self, replace: Replacer, resolver: _TextResolver) -> dict[str, Need]:
        """The packages that the definition itself lists."""
        tree = self.tree
        contents = tree.mapping(self.root.get("environment"), "environment").get("contents")
        listed = tree.mapping(contents, "environment.contents").get("packages")
        what = "environment.contents.packages"
        texts = [
            (resolver.text(replace(text), line), line, "environment")
            for text, line in tree.texts(listed, what)
        ]
        for name in self.variables.build_options:
            packages = self.variables.option(name, "environment", "contents", "packages")
            added = tree.texts(packages.get("add"), "packages.add")
            texts += [(text, line, f"build option {name}") for text, line in added]
            removed = {text for text, _ in tree.texts(packages.get("remove"), "packages.remove")}
            texts = [one for one in texts if one[0] not in removed]
        needs: dict[str, Need] = {}
        for text, line, reason in texts:
            if not bare_name(text):
                said = (
                    f"{text!r} in {what} is no package" if text else f"an entry of {what} is empty"
                )
                tree.problem(line, said, "name a package or remove it")
            elif text not in needs:
                needs[text] = Need(text, tree.file, line, reason)
        return needs

    def subpackages(
        self, parts: Sequence[_Part], base: Scope, resolver: _TextResolver, compiler: Compiler
    ) -> tuple[tuple[Subpackage, ...], tuple[Subpackage, ...]]:
        """Those that are built, and those that an `if` leaves out; the needs of both count."""
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
            runtime, provides, priority = resolver.dependencies(part.dependencies)
            subpackage = Subpackage(name, self.tree.file, line, runtime, provides, priority)
            (built if self.holds(part.condition, scope) else left_out).append(subpackage)
        return tuple(built), tuple(left_out)

    def holds(self, when: _Text, scope: Scope) -> bool:
        text, line = when
        if not text:
            return True
        try:
            substitute(text, scope)
            # melange 0.56 resolves the condition and forgets the result: what builds looks at the
            # text after the first substitution, where ${{build.arch}} and the like are empty.
            return evaluate(text)
        except Unresolvable as error:
            self.tree.problem(line, f"if: {error}", "correct the condition")
            return True


class _TextResolver:
    """melange's second substitution: resolves texts, or makes problems of them."""

    def __init__(self, tree: NodeReader, lookup: Lookup, plain: Lookup) -> None:
        """Take the variables, and those that priorities see: no var-transform has touched them."""
        self.tree = tree
        self.lookup = lookup
        self.plain = plain

    def dependencies(self, one: _Dependencies) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        """Resolve what is needed at run time, what is provided, and the priority."""
        text, line = one.priority
        text = self._substituted(text, line, self.plain)
        if text and not _PRIORITY.fullmatch(text):
            self.tree.problem(line, f"provider-priority {text!r} is no number", "write a number")
            text = ""
        return (
            tuple(starmap(self.text, one.runtime)),
            tuple(starmap(self.text, one.provides)),
            int(text or 0),
        )

    def text(self, text: str, line: int) -> str:
        """Resolve the name of one package."""
        result = self._substituted(text, line, self.lookup)
        if UNPRINTABLE.search(result.strip()):
            self.tree.problem(line, f"{result[:60]!r} is no package", "name one package an entry")
        return result

    def _substituted(self, text: str, line: int, lookup: Lookup) -> str:
        try:
            return substitute(text, lookup)
        except Unresolvable as error:
            self.tree.problem(line, str(error), "define it, or correct the name")
            return text
