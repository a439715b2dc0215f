"""The state of a repository in the cache: what was written is read, and nothing else is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dag.core.decoding import Undecodable
from dag.core.sources.gitstate import Ref, Submodule, VerifiedState, parse

ONE, TWO = "1" * 40, "2" * 40
# Version 0.1.0 wrote it like this.
WRITTEN = f"""{{
 "bases": ["https://example.org/org/repo"],
 "depth": 3,
 "lacks": ["refs/tags/v9"],
 "picks": ["/{ONE}", "main/{TWO}"],
 "refs": {{
  "refs/heads/main": {{"at": "{TWO}", "expected": ["{ONE}", "{TWO}"], "tip": true}},
  "refs/tags/v1": {{"at": "{ONE}", "expected": ["{ONE}"]}}
 }},
 "submodules": [{{"commit": "{ONE}", "path": "example.org/org/sub"}}],
 "uri": "https://example.org/org/repo"
}}
"""
STATE = VerifiedState(
    refs={
        "refs/heads/main": Ref(TWO, (ONE, TWO), tip=True),
        "refs/tags/v1": Ref(ONE, (ONE,)),
    },
    bases=frozenset(["https://example.org/org/repo"]),
    submodules=frozenset([Submodule("example.org/org/sub", ONE)]),
    picks=frozenset([f"/{ONE}", f"main/{TWO}"]),
    depth=3,
    uri="https://example.org/org/repo",
    lacks=frozenset(["refs/tags/v9"]),
)


def test_what_version_0_1_0_wrote_is_read() -> None:
    assert parse(WRITTEN.encode()) == STATE
    assert parse(STATE.text().encode()) == STATE
    assert json.loads(STATE.text()) == json.loads(WRITTEN)
    assert parse(b"{}") == VerifiedState()


def test_a_branch_of_an_older_version_keeps_only_its_end() -> None:
    ref = {"at": TWO, "expected": [ONE, TWO]}
    state = parse(json.dumps({"refs": {"refs/heads/main": ref}}).encode())
    assert state.refs == {"refs/heads/main": Ref(TWO, (TWO,))}


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(WRITTEN) | fields).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "the whole is `array`, but should be `object`"),
        (b"[" * 100_000, "the whole is `array`"),
        (b'{"refs": {"refs/tags/v1": ' + b"[" * 100_000, "refs[...] is `array`"),
        (b'{"x": ' + b"[" * 100_000, "it is nested too deeply"),
        (changed(refs={"refs/tags/v1": 5}), "refs[...] is `int`, but should be `object`"),
        (changed(refs={"refs/tags/v1": {"at": "x", "expected": []}}), "at is wrong: expected"),
        (
            changed(refs={"--upload-pack=x": {"at": ONE, "expected": []}}),
            "is not the name of a tag",
        ),
        (changed(depth=-1), "depth is wrong: expected `int` >= 0"),
        (changed(depth=True), "depth is `bool`, but should be `int | null`"),
        (changed(bases=[5]), "bases[0] is `int`, but should be `str`"),
        (changed(submodules=[{"path": "a", "commit": f"{ONE}\n"}]), "commit is wrong: expected"),
        (changed(picks=["main/zzz"]), "'main/zzz' is not a cherry-pick"),
        (changed(lacks={}), "lacks is `object`, but should be `array`"),
        (b"", "it is not JSON"),
    ],
)
def test_anything_else_is_refused_in_words(data: bytes, message: str) -> None:
    with pytest.raises(Undecodable) as caught:
        parse(data)
    assert message in str(caught.value)
