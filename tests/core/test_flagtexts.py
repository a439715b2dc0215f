"""What one machine was asked for is what another one reads, and nothing else is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.arch import ARCHITECTURES, Arch
from dag.core.flags import Flag, Shape, flags_of
from dag.core.flagtexts import options_of, texts_of
from dag.core.jobs.options import UnitBuildOptions
from dag.core.pod.scheduling import NodeLabel, Toleration
from dag.errors import UsageError

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
DIGEST = "@sha256:" + "a" * 64
VALUES: Mapping[str, st.SearchStrategy[object]] = {
    "str": WORDS,
    "_kubernetes_name": NAMES,
    "_quantity": st.sampled_from(["1", "500m", "2Gi", "1e3"]),
    "_duration": st.floats(0, 1e6, allow_nan=False),
    "_architectures": st.lists(
        st.sampled_from(ARCHITECTURES).map(Arch.parse), min_size=1, unique=True
    ).map(tuple),
    "Arch.parse": st.sampled_from(ARCHITECTURES).map(Arch.parse),
    "whole.<locals>.parse": st.integers(1, 1000),
    "_assignment": st.builds(
        "{}={}".format, st.sampled_from(["A", "CC"]), st.sampled_from(["", "b"])
    ),
    "_location": st.sampled_from(["a/b", "https://example.com/os", ""]),
    "_store_name": st.sampled_from(["pvc://a/b", "gs://bucket", "a b"]),
    "_place": st.sampled_from(["local", "kubernetes"]),
    "_proxy": st.sampled_from(["http://a.example:3128", "https://[::1]:1"]),
    "_hosts": st.lists(
        st.sampled_from([".a.example", "*", "10.0.0.0/8", "[::1]", "fe80::/10", "b:80"]),
        unique=True,
    ).map(tuple),
    "_image": st.sampled_from([f"a.example/b{DIGEST}", "busybox:1"]),
    "_repository": st.sampled_from(["a.example/b", "127.0.0.1:5000/x"]),
    "NodeLabel.parse": st.builds(NodeLabel, NAMES, st.just("") | NAMES),
    "Toleration.parse": st.builds(
        Toleration, NAMES, st.none() | st.just("") | NAMES, st.sampled_from(["", "NoSchedule"])
    ),
}


def values_of(flag: Flag) -> st.SearchStrategy[object]:
    """Return what a flag may be."""
    match flag.shape:
        case Shape.SWITCH:
            return st.booleans()
        case Shape.COUNT:
            return st.integers(0, 5)
    assert flag.kind is not None
    one = (
        st.sampled_from(flag.kind.choices)
        if flag.kind.choices
        else VALUES[getattr(flag.kind.parse, "__qualname__", "")]
    )
    return st.lists(one, max_size=3).map(tuple) if flag.shape is Shape.SEVERAL else one


FIELDS = {one.field: values_of(one.flag) for one in flags_of(UnitBuildOptions)}


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_options_are_read_as_they_were_written(values: dict[str, Any]) -> None:
    options = UnitBuildOptions(**values)
    assert options_of(UnitBuildOptions, texts_of(options)) == options


def test_what_nobody_asked_for_is_not_written() -> None:
    assert texts_of(UnitBuildOptions(jobs=3, color="auto")) == {"jobs": ("3",)}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"nonsense": ("1",)}, "no flag is called 'nonsense'"),
        ({"jobs": ("many",)}, "'many' is not a whole number"),
        ({"jobs": ("0",)}, "'0' is not a whole number of 1 or more"),
        ({"jobs": ()}, "has 0 values"),
        ({"jobs": ("1", "2")}, "has 2 values"),
        ({"strict": ("perhaps",)}, "strict cannot be 'perhaps'"),
        ({"verbose": ("9999",)}, "verbose cannot be '9999'"),
        ({"isolation": ("none",)}, "isolation cannot be 'none'"),
        ({"namespace": ("../other",)}, "no name in Kubernetes"),
        ({"tolerations": ("a b",)}, "no taint"),
        ({"make_vars": ("TOKEN=abc",)}, "TOKEN has a secret"),
        ({"proxy": ("http://me:secret@a.example:1",)}, "this proxy has a login"),
    ],
)
def test_what_no_command_line_takes_is_refused(
    texts: dict[str, tuple[str, ...]], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        options_of(UnitBuildOptions, texts)


def test_every_kind_of_value_is_among_those_that_were_tried() -> None:
    kinds = {
        getattr(one.flag.kind.parse, "__qualname__", "")
        for one in flags_of(UnitBuildOptions)
        if one.flag.kind is not None
    }
    assert kinds <= VALUES.keys()
