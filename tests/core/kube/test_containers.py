"""A container runs the words that were meant, whatever Kubernetes does with dollar signs."""

from __future__ import annotations

import re

import pytest

from dag.core.kube.containers import container_words


def expanded(text: str) -> str:
    """Expand a text as Kubernetes does, if each variable of the container has the value VALUE.

    https://github.com/kubernetes/kubernetes/blob/v1.34.0/third_party/forked/golang/expansion/expand.go
    """
    out, rest = "", text
    while (at := rest.find("$")) != -1 and at + 1 < len(rest):
        out, rest = out + rest[:at], rest[at + 1 :]
        if rest[0] == "$":
            out, rest = f"{out}$", rest[1:]
        elif rest[0] == "(" and ")" in rest:
            name, _, rest = rest[1:].partition(")")
            out += "VALUE" if re.fullmatch(r"[-._A-Za-z0-9]+", name) else f"$({name})"
        else:
            out, rest = f"{out}${rest[0]}", rest[1:]
    return out + rest


@pytest.mark.parametrize(
    "word",
    [
        "",
        "$",
        "plain",
        "A=$$HOME",
        "$(HOME)",
        "$$(HOME)",
        "$(echo $$)",
        "${count#* } $(date +%s)",
        "$((1 + 2)) $(pwd)",
        "$$$",
    ],
)
def test_words_reach_the_program_as_they_were_given(word: str) -> None:
    (written,) = container_words([word])
    assert expanded(written) == word


def test_words_in_which_nothing_would_be_replaced_stay_readable() -> None:
    words = ['echo "$1" ${2:+x} $(date +%s)', "a$"]
    assert container_words(words) == words
