"""The variables of one definition: `vars`, `var-transforms`, options, and those of melange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from yaml.nodes import Node

from dag.core.arch import Arch
from dag.core.package.problems import Broken, FileProblem
from dag.core.package.substitutions import Scope, Unresolvable, lookup_in, substitute
from dag.core.package.transforms import Effort, transform
from dag.core.package.triplets import triplets
from dag.core.package.yaml import NodeReader, compose, is_null, line_of, refuse_duplicates

NO_VARIABLES: Mapping[str, str] = {}


def read_variables(data: bytes, file: str) -> tuple[dict[str, str], list[FileProblem]]:
    """Return the variables in a file that melange gets with `--vars-file`, and what is wrong there."""
    tree = NodeReader(file)
    try:
        node = compose(data)
        if node is None:
            return {}, [FileProblem(file, 1, "the file is empty", "write {} into it")]
        refuse_duplicates(node)
        return tree.strings(node, "the file of variables"), tree.problems
    except Broken as broken:
        return {}, [FileProblem(file, broken.line, broken.what, broken.fix)]


class Variables:
    """The variables of a definition, which depend on the build options that are enabled."""

    def __init__(
        self,
        root: Mapping[str, Node],
        tree: NodeReader,
        build_options: Sequence[str],
        given: Mapping[str, str],
    ) -> None:
        """Read `vars`, `var-transforms` and `options`.

        `build_options` are those that are enabled; variables that are `given` win over `vars`.
        """
        self.build_options = build_options
        self._tree = tree
        self._line = line_of(root.get("vars", root["package"]))
        own = root.get("vars")
        if given and (own is None or is_null(own)):
            what = "melange fails at a definition without vars if it is given a file of variables"
            tree.problem(self._line, what, "add vars: {} to the definition")
        self._vars = {**tree.strings(own, "vars"), **given}
        self._transforms = [
            (line_of(node), tree.strings(node, "a var-transform"))
            for node in tree.items(root.get("var-transforms"), "var-transforms")
        ]
        self._options = tree.mapping(root.get("options"), "options")
        for name in self._options:
            self.option(name)  # one that is no mapping is wrong, also if it is not enabled
        self._effort = Effort()
        self._transformed: dict[tuple[str, str, str], str] = {}
        """What was made of a text; the three times that it is asked for, it is mostly the same."""

    @property
    def enabled(self) -> tuple[str, ...]:
        """Return the options of the definition that are enabled."""
        return tuple(name for name in self.build_options if name in self._options)

    def option(self, name: str, *path: str) -> dict[str, Node]:
        """Return the mapping at `path` of an option."""
        fields = self._tree.mapping(self._options.get(name), f"options.{name}")
        for key in path:
            fields = self._tree.mapping(fields.get(key), f"options.{name}…{key}")
        return fields

    def known_before(self, facts: Mapping[str, str], epoch: int) -> dict[str, str]:
        """Return the variables that are known before anything is built, `vars` as they are written."""
        return {
            **facts,
            "package.epoch": str(epoch),
            "package.full-version": f"{facts['package.version']}-r{epoch}",
            **{f"vars.{name}": value for name, value in self._vars.items()},
        }

    def transform(self, values: dict[str, str]) -> dict[str, str]:
        """Add what `var-transforms` make of `values`, and return these."""
        lookup = lookup_in(values)
        for line, rule in self._transforms:
            try:
                text = substitute(rule.get("from", ""), lookup)
                asked = (text, rule.get("match", ""), rule.get("replace", ""))
                if asked not in self._transformed:
                    self._transformed[asked] = transform(*asked, self._effort)
                values[f"vars.{rule.get('to', '')}"] = self._transformed[asked]
            except Unresolvable as error:
                self._tree.problem(line, str(error), "correct the var-transform")
        return values

    def pipeline_scope(self, names: Sequence[str], version: str, epoch: int, arch: Arch) -> Scope:
        """Return the variables of pipelines; `names` are the package's and its subpackages'."""
        name = names[0]
        out = "/home/build/melange-out"
        values = {
            "package.name": name,
            "package.version": version,
            "package.epoch": str(epoch),
            "package.full-version": f"{version}-r{epoch}",
            "package.srcdir": "/home/build",
            "targets.outdir": out,
            "targets.destdir": f"{out}/{name}",
            "targets.contextdir": f"{out}/{name}",
            "context.name": name,
            **triplets(arch),
            "build.arch": arch.apk,
            "build.goarch": arch.oci,
            **self._resolve_vars(),
        }
        self.transform(values)
        values |= {f"targets.package.{target}": f"{out}/{target}" for target in names}
        values |= {f"options.{option}.enabled": "false" for option in self._options}
        values |= {f"options.{option}.enabled": "true" for option in self.build_options}
        return Scope(values)

    def _resolve_vars(self) -> dict[str, str]:
        """Return `vars` resolved by each other; those of enabled options replace others.

        melange takes them in any order, and so may refuse one that names another.
        """
        texts = dict(self._vars)
        for name in self.build_options:
            texts |= self._tree.strings(self.option(name).get("vars"), f"options.{name}.vars")
        raw = {f"vars.{name}": value for name, value in texts.items()}
        scope = Scope(raw)
        for name in raw:
            try:
                raw[name] = scope(name)
            except Unresolvable as error:
                self._tree.problem(self._line, f"{name}: {error}", "vars may only name vars")
        return raw
