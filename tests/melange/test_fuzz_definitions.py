"""A minute of damaged definitions: each is read, or refused with file and line, and nothing else."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dag.core.graph.graph import Graph
from dag.core.package.model import Package
from dag.errors import UsageError
from dag.io.package.definitions import read
from tests.support.distributions import TODAY, unpacked

SECONDS = float(os.environ.get("DAG_FUZZ_SECONDS", "60"))

TOKENS = st.sampled_from(
    [
        *"[]{}:,-?&*!|>'\"%@`#~<\n\t \\",
        "<<: ",
        "*a",
        "&a ",
        "${{",
        "}}",
        "${{package.version}}",
        "${{inputs.x}}",
        "${{vars.",
        "../",
        "$(rm)",
        "null",
        "\x00",
        "\ufeff",
        "é",
        "\u2028",
        "  - uses: ",
        "strip",
        "pipeline:\n",
        "range: ",
        "if: ",
        "name: ",
        "---\n",
        "0x1e3",
        "(a+)+$",
        "[[:alpha:]]",
    ]
)
KEYS = st.sampled_from(
    [
        "package",
        "name",
        "version",
        "epoch",
        "environment",
        "contents",
        "packages",
        "pipeline",
        "subpackages",
        "uses",
        "with",
        "needs",
        "runs",
        "if",
        "range",
        "data",
        "items",
        "vars",
        "var-transforms",
        "from",
        "match",
        "replace",
        "to",
        "dependencies",
        "runtime",
        "provides",
        "provider-priority",
        "resources",
        "target-architecture",
        "options",
        "inputs",
        "default",
    ]
)
TEXTS = st.one_of(TOKENS, KEYS, st.text(max_size=8), st.lists(TOKENS, max_size=4).map("".join))
TREES = st.recursive(
    TEXTS | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=5),
    max_leaves=25,
)


@pytest.fixture(scope="module")
def real() -> list[bytes]:
    """Return real definitions; those that use most of the language come first."""
    texts = [path.read_bytes() for path in sorted(unpacked(TODAY).glob("*.yaml"))]
    words = (b"range:", b"var-transforms", b"if:", b"<<:", b"vars:")
    texts.sort(key=lambda text: -sum(word in text for word in words))
    return [text for text in texts[:200] if len(text) < 20_000]


def check(directory: Path, data: bytes) -> None:
    (directory / "x.yaml").write_bytes(data)
    packages: tuple[Package, ...] = ()
    message = ""
    try:
        packages = read(directory, arch="x86_64", cached=False)
    except UsageError as error:
        message = error.message
    if not packages:
        lines = message.splitlines()
        if len(lines) > 1:
            assert re.fullmatch(r"the definitions have \d+ problems", lines[0])
        # The lines name several files, or "no definitions"; a text in a message may have line
        # breaks.
        assert re.search(r"x\.yaml:\d+: .*; |no package definitions", message)
        return
    graph = Graph(packages)
    assert [one.name for one in graph.order()] == [packages[0].name]
    for need in packages[0].environment:
        assert 0 < need.line <= data.count(b"\n") + data.count(b"\r") + 2


def damaged(data: st.DataObject, real: list[bytes]) -> bytes:
    text = data.draw(st.sampled_from(real))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = min(len(text), start + data.draw(st.integers(0, 40)))
        piece = data.draw(TOKENS.map(str.encode) | st.binary(max_size=6))
        match data.draw(st.sampled_from(["replace", "double", "indent"])):
            case "replace":
                text = text[:start] + piece + text[stop:]
            case "double":
                text = text[:stop] + text[start:stop] + text[stop:]
            case _:
                text = text[:start] + text[start:stop].replace(b"\n", b"\n ") + text[stop:]
    return text


@pytest.mark.torture
def test_no_damage_makes_a_traceback(tmp_path: Path, real: list[bytes]) -> None:
    end = time.monotonic() + SECONDS
    rounds = 0

    @settings(
        max_examples=50,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def once(data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            check(tmp_path, damaged(data, real))
        else:
            check(tmp_path, written(data.draw(TREES)).encode("utf-8", "surrogatepass"))

    while time.monotonic() < end:
        once()
        rounds += 1
    assert rounds


def written(tree: object, *, top: bool = True) -> str:
    """Return a tree as a careless person would write it: in flow style, mostly without quotes."""
    if isinstance(tree, dict):
        pairs = [
            f"{written(key, top=False)}: {written(value, top=False)}" for key, value in tree.items()
        ]
        if top:
            head = "package: {name: x, version: 1}\n" if "package" not in tree else ""
            return head + "\n".join(pairs) + "\n"
        return "{" + ", ".join(pairs) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(written(one, top=False) for one in tree) + "]"
    return "null" if tree is None else str(tree)
