"""YAML text as a tree of nodes with lines, and a reader that turns wrong shapes into problems.

libyaml composes the nodes, which are read in place: making Python objects of a whole distribution
would take three times as long and lose the lines.
"""

from __future__ import annotations

import operator
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from dag.core.package.escapes import UNKNOWN, refuse_slash_escapes, without_quote_escapes
from dag.core.package.problems import Broken, FileProblem
from dag.core.package.scalars import DIRECTIVES, NULLS, apply_tags
from dag.core.package.slips import UNDEFINED_ALIAS, broken_yaml

MAX_DEPTH = 500
"""How many levels a document may be nested."""
SAFE_DEPTH = 4000
"""With at most so many openers, libyaml's recursion is safe, so the depth is not counted."""
_OPENERS = (b"[", b"{", b":", b"-", b"?")
"""Every level of nesting takes one of these, so a text with few of them cannot be deep."""
_TOO_DEEP = f"the document is nested deeper than {MAX_DEPTH} levels"


class _Loader(yaml.CSafeLoader):
    """A loader that composes without resolving: every scalar stays the text that somebody wrote.

    The hooks are called half a million times for a distribution. So each is a function in C that
    takes the same arguments and does nothing; nobody ever looks at what it returns as a tag.
    """

    resolve = staticmethod(slice)
    descend_resolver = staticmethod(operator.is_)  # type: ignore[assignment]
    ascend_resolver = staticmethod(tuple)  # type: ignore[assignment]


def compose(data: bytes) -> Node | None:
    """Return the first document of `data` as nodes; None if there is none.

    Raises:
        Broken: this is not YAML, or not UTF-8.

    """
    return compose_marked(data)[0]


def compose_marked(data: bytes) -> tuple[Node | None, bytes]:
    """Return the nodes, and the text in which their marks count: it may have escapes in other words.

    Raises:
        Broken: this is not YAML, or not UTF-8.

    """
    try:
        try:
            return _compose_checked(data), data
        except yaml.scanner.ScannerError as error:
            if error.problem != UNKNOWN:
                raise
            data = without_quote_escapes(data)
            return _compose_checked(data), data
    except yaml.MarkedYAMLError as error:
        raise broken_yaml(error, data) from None
    except yaml.reader.ReaderError as error:
        line = data.count(b"\n", 0, error.position) + 1
        what = f"not UTF-8 text: {error.reason}"
        raise Broken(line, what, "save the file as UTF-8, or move it elsewhere") from None
    except RecursionError:
        raise Broken(1, _TOO_DEEP, "flatten it") from None


def _compose_checked(data: bytes) -> Node | None:
    if sum(map(data.count, _OPENERS)) > SAFE_DEPTH:
        _refuse_depth(data)
    if DIRECTIVES.match(data):
        _refuse_other_versions(data)
    root = _compose_nodes(data)
    refuse_slash_escapes(data, root)
    return apply_tags(data, root)


def _compose_nodes(data: bytes) -> Node | None:
    loader = _Loader(data)
    try:
        return loader.get_node() if loader.check_node() else None
    except yaml.composer.ComposerError as error:
        if error.problem != "second occurrence":
            raise
    finally:
        loader.dispose()
    return _compose_events(data)


def _compose_events(data: bytes) -> Node | None:
    """Return the nodes of a document that gives an anchor again, which libyaml's composer refuses.

    YAML allows it: an alias means the latest (https://yaml.org/spec/1.2.2/#71-alias-nodes).
    """
    loader = _Loader(data)
    anchors: dict[str | None, Node] = {}
    outermost: list[Node] = []
    # The collections that are open, each with its nodes; a mapping's keys and values take turns.
    stack: list[tuple[CollectionNode | None, list[Node]]] = [(None, outermost)]
    try:
        while not isinstance(event := loader.get_event(), yaml.DocumentEndEvent | None):
            if isinstance(event, yaml.CollectionEndEvent):
                done, nodes = stack.pop()
                assert done is not None  # noqa: S101  # the parser pairs starts and ends
                pairs = zip(nodes[::2], nodes[1::2], strict=True)
                done.value += pairs if isinstance(done, MappingNode) else nodes
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    what = f"broken YAML: found undefined alias {event.anchor!r}"
                    raise Broken(line_of(event), what, UNDEFINED_ALIAS)
                stack[-1][1].append(anchors[event.anchor])
            elif isinstance(event, yaml.NodeEvent):
                node = _node(event)
                stack[-1][1].append(node)
                if event.anchor is not None:
                    anchors[event.anchor] = node
                if isinstance(node, CollectionNode):
                    stack.append((node, []))
    finally:
        loader.dispose()
    return outermost[0] if outermost else None


def _node(event: Any) -> Node:  # noqa: ANN401
    tag: Any = None if event.tag == "!" else event.tag
    start, end = event.start_mark, event.end_mark
    if isinstance(event, yaml.ScalarEvent):
        return ScalarNode(tag, event.value, start, end, style=event.style)
    make = MappingNode if isinstance(event, yaml.MappingStartEvent) else SequenceNode
    return make(tag, [], start)


def _refuse_other_versions(data: bytes) -> None:
    # libyaml reads 1.2 as well; melange reads nothing else.
    loader = _Loader(data)
    try:
        while not isinstance(event := loader.get_event(), yaml.NodeEvent | None):
            if isinstance(event, yaml.DocumentStartEvent) and event.version not in (None, (1, 1)):
                what = "broken YAML: melange reads no version of YAML but 1.1"
                raise Broken(line_of(event), what, "remove the line %YAML")
    finally:
        loader.dispose()


def _refuse_depth(data: bytes) -> None:
    # libyaml's composer recurses in C, where nothing but the end of the stack stops it; its events
    # come without recursion.
    loader = _Loader(data)
    depth = 0
    try:
        while not isinstance(event := loader.get_event(), yaml.DocumentEndEvent | None):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                mark = event.start_mark
                line = mark.line + 1 if mark else 1
                raise Broken(line, _TOO_DEEP, "flatten it")
    finally:
        loader.dispose()


def refuse_duplicates(root: Node) -> None:  # noqa: C901  # a call for each pair would take longer
    """Refuse a mapping that has a key twice, or a key that is not a text; drop keys that are nothing.

    Like melange, which reads no entry whose key is null.

    Raises:
        Broken: there is such a mapping.

    """
    stack = [root]
    seen: set[int] = set()  # aliases make one node the child of many
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if type(node) is MappingNode:
            pairs = node.value
            names = set()
            # One loop, and nothing called in it: a distribution has 200,000 pairs.
            for key, value in pairs:
                if type(key) is ScalarNode:
                    names.add(key.value)
                if type(value) is not ScalarNode:
                    stack.append(value)
            if len(names) != len(pairs):
                _name_duplicate(pairs)
            if not names.isdisjoint(NULLS):
                node.value = [pair for pair in pairs if not is_null(pair[0])]
        elif type(node) is SequenceNode:
            for value in node.value:
                if type(value) is not ScalarNode:
                    stack.append(value)  # noqa: PERF401


def _name_duplicate(pairs: list[tuple[Node, Node]]) -> None:
    lines: dict[str, int] = {}
    for key, _ in pairs:
        line = line_of(key)
        if not isinstance(key, ScalarNode):
            raise Broken(line, "a key is not a text", "quote it")
        if key.value in lines:
            what = f"{key.value!r} is given twice, first in line {lines[key.value]}"
            raise Broken(line, what, "keep one of them")
        lines[key.value] = line


def line_of(node: Any) -> int:  # noqa: ANN401
    """Return the line of a node (or of an event), counted from 1."""
    line: int = node.start_mark.line
    return line + 1


class NodeReader:
    """A reader of one file's nodes: a wrong shape becomes a problem, not an exception."""

    def __init__(self, file: str) -> None:
        """Take the name of the file, which problems give."""
        self.file = file
        self.problems: list[FileProblem] = []
        self._lines: set[int] = set()

    def problem(self, line: int, what: str, fix: str) -> None:
        """Note that `what` is wrong in `line`, and how to `fix` it.

        Only the first problem of a line is kept: those after it are mostly its consequences.
        """
        if line not in self._lines:
            self._lines.add(line)
            self.problems.append(FileProblem(self.file, line, what, fix))

    def mapping(self, node: Node | None, what: str) -> dict[str, Node]:
        """Return the entries of a mapping with its merge keys (`<<`) applied; empty for nothing."""
        if type(node) is MappingNode:
            entries = {key.value: value for key, value in node.value}
            return self._merge_mappings(node, {}) if "<<" in entries else entries
        if node is not None and not is_null(node):
            self.problem(line_of(node), f"{what} is {_kind(node)}", "make it a mapping")
        return {}

    def _merge_mappings(
        self, node: MappingNode, known: dict[int, dict[str, Node] | None]
    ) -> dict[str, Node]:
        # `known` holds finished mappings, so that merges of merges stay linear; None is for those
        # that have begun.
        if id(node) in known:
            if (done := known[id(node)]) is not None:
                return done
            self.problem(line_of(node), "`<<` merges a mapping with itself", "merge another one")
            return {}
        merged: dict[str, Node] = {}
        known[id(node)] = None
        for key, value in node.value:
            if is_merge(key):
                parents = value.value if isinstance(value, SequenceNode) else [value]
                for parent in reversed(parents):
                    if isinstance(parent, MappingNode):
                        merged |= self._merge_mappings(parent, known)
                    else:
                        what = "`<<` merges something that is not a mapping"
                        self.problem(line_of(parent), what, "merge a mapping")
        merged |= {key.value: value for key, value in node.value if not is_merge(key)}
        known[id(node)] = merged
        return merged

    def items(self, node: Node | None, what: str) -> list[Node]:
        """Return the items of a list without the empty ones, as melange does; empty for nothing."""
        if type(node) is SequenceNode:
            items: list[Node] = node.value
            return [item for item in items if type(item) is not ScalarNode or not is_null(item)]
        if node is not None and not is_null(node):
            self.problem(line_of(node), f"{what} is {_kind(node)}", "make it a list")
        return []

    def text(self, node: Node | None, what: str) -> str:
        """Return a scalar as it is written; empty for nothing."""
        if type(node) is ScalarNode:
            value: str = node.value
            return "" if is_null(node) else value
        if node is not None:
            self.problem(line_of(node), f"{what} is {_kind(node)}", "make it one value")
        return ""

    def texts(self, node: Node | None, what: str) -> list[tuple[str, int]]:
        """Return the scalars of a list, each with its line."""
        return [
            (
                # A shortcut that nearly all of a distribution's 90,000 entries take.
                item.value if type(item) is ScalarNode else self.text(item, f"an entry of {what}"),
                item.start_mark.line + 1,
            )
            for item in self.items(node, what)
        ]

    def strings(self, node: Node | None, what: str) -> dict[str, str]:
        """Return a mapping from text to text."""
        return {
            key: value.value
            if type(value) is ScalarNode and (value.style or value.value not in NULLS)
            else self.text(value, f"{what}.{key}")
            for key, value in self.mapping(node, what).items()
        }


def is_merge(key: Node) -> bool:
    """Return whether a key is the merge key; in quotes it is a text like others."""
    if not isinstance(key, ScalarNode) or key.value != "<<":
        return False
    return key.tag.endswith(":merge") if type(key.tag) is str else not key.style


def is_null(node: Node) -> bool:
    """Return whether there is nothing where a value could be."""
    # A tag means a value, even if that is empty: `- !riscv64`.
    return (
        type(node) is ScalarNode
        and not node.style
        and node.value in NULLS
        and type(node.tag) is not str
    )


def _kind(node: Node) -> str:
    match node:
        case MappingNode():
            return "a mapping"
        case SequenceNode():
            return "a list"
        case _:
            return f"the text {node.value[:40]!r}"
