"""Definitions with other repositories: nothing else in them changes."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dag.core.package.model import Package
from dag.core.package.rewriting import Unchangeable, replace_named
from tests.support.definitions import compiled

HEAD = "package: {name: a, version: 1.5, epoch: 0, description: ä–𝄞}\n"


def read(text: str) -> Package:
    package, problems = compiled(text.encode(), "a.yaml")
    assert package is not None, problems
    return package


def change(text: str) -> str:
    package = read(text)
    return replace_named(
        text.encode(),
        package.repositories,
        package.keyring,
        lambda place: f"NEW {place}",
        lambda place: f"KEY {place}",
    ).decode()


FORMS = {
    "block": "    repositories:\n      - https://a.x/é  # why\n      - '@t https://b.x'\n",
    "at the key": '    repositories:\n    - "https://a.x/é"\n    - "@t https://b.x"\n',
    "flow": "    repositories: [ https://a.x/é, '@t https://b.x' ]\n",
    "over lines": "    repositories: [https://a.x/é,\n      '@t\n      https://b.x'\n    ]\n",
    "variables": "    repositories: ['https://${{package.name}}.x/é', '@t https://b.x']\n",
    "anchor": "    repositories: [&a https://a.x/é, '@t https://b.x']\n",
    "two fields": "    build_repositories: [https://a.x/é]\n    repositories: ['@t https://b.x']\n",
}


def test_escapes_that_libyaml_does_not_know_move_nothing() -> None:
    text = (
        HEAD + """vars: {x: "it\\'s", y: "\\'\\'"}\nenvironment:\n  contents:\n"""
        """    repositories: ["https://a.x/it\\'s", https://b.x]\n"""
    )
    after = read(change(text))
    assert [one.text for one in after.repositories] == ["NEW https://a.x/it's", "NEW https://b.x"]
    assert after == structs.replace(read(text), repositories=after.repositories)


@pytest.mark.parametrize("form", FORMS)
def test_each_is_replaced_in_its_place(form: str) -> None:
    text = f"{HEAD}environment:\n  contents:\n{FORMS[form]}    keyring: [https://k.x/k.rsa.pub]\n# end\n"
    changed = change(text)
    after = read(changed)
    assert [one.text for one in after.repositories] == ["NEW https://a.x/é", "NEW @t https://b.x"]
    assert [one.text for one in after.keyring] == ["KEY https://k.x/k.rsa.pub"]
    before, now = yaml.safe_load(text), yaml.safe_load(changed)
    del before["environment"], now["environment"]
    assert before == now
    assert changed.endswith("# end\n")


@pytest.mark.parametrize(
    "text",
    [
        "    repositories:\n      - |\n        https://a.x\n",
        "    <<: {repositories: [https://a.x]}\n",
    ],
)
def test_what_is_not_written_one_by_one_is_left(text: str) -> None:
    with pytest.raises(Unchangeable):
        change(f"{HEAD}environment:\n  contents:\n{text}")


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=20), max_size=4))
def test_whatever_is_named_is_replaced_or_refused(comment: str, names: list[str]) -> None:
    listed = yaml.safe_dump({"repositories": names}, allow_unicode=True)
    listed = "".join(f"    {line}\n" for line in listed.splitlines())
    line = yaml.safe_dump({"x": comment}, allow_unicode=True)
    text = f"{HEAD}{line}environment:\n  contents:\n{listed}"
    try:
        before = read(text).repositories
        after = read(change(text)).repositories
    except (Unchangeable, AssertionError):
        return
    assert [one.text for one in after] == [f"NEW {one.text}" for one in before]
