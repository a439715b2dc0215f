"""An HTML page as one file: nothing in it is from elsewhere, and no text in it becomes markup.

It is made as a tree, and the serializer escapes every text and attribute. What a browser runs and how
it draws are files of dag's own, which the page's policy names by their hashes; everything else is
forbidden. https://www.w3.org/TR/CSP3/#grammardef-hash-source
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from xml.etree import ElementTree as ET

from dag.core.visible import visible

Node = ET.Element
Child = ET.Element | str | None


def node(tag: str, *children: Child, **attributes: str | None) -> Node:
    """Return an element; `class_` and `data_unit` stand for the attributes `class` and `data-unit`.

    Texts are made visible. A child or an attribute that is None is left out.
    """
    made = ET.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.strip("_").replace("_", "-"), visible(value))
    for child in children:
        if isinstance(child, str):
            _append_text(made, visible(child))
        elif child is not None:
            made.append(child)
    return made


def _append_text(parent: Node, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def document(title: str, body: Sequence[Child], *, scripts: Sequence[str], data: str = "") -> str:
    """Return a page; `scripts` are the names of files beside this module.

    `data` is JSON that they find in the element with the id `data`.
    """
    style = asset("page.css")
    code = [asset(name) for name in scripts]
    allowed = " ".join(map(_hash, code)) or "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = node(
        "head",
        node("meta", charset="utf-8"),
        ET.Element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="color-scheme", content="light dark"),
        node("meta", name="referrer", content="no-referrer"),
        node("title", title),
        _own("style", style),
    )
    inside = [*body]
    if data:
        # In this element only `<` could end it: https://html.spec.whatwg.org/#restrictions-for-contents-of-script-elements
        held = _own("script", data.replace("<", "\\u003c"))
        held.set("type", "application/json")
        held.set("id", "data")
        inside.append(held)
    inside += [_own("script", one) for one in code]
    page = node("html", head, node("body", *inside), lang="en")
    return f"<!DOCTYPE html>\n{ET.tostring(page, encoding='unicode', method='html')}\n"


def asset(name: str) -> str:
    """Return a file beside this module."""
    return files("dag.report.page").joinpath(name).read_text(encoding="utf-8")


def _own(tag: str, text: str) -> Node:
    """Return an element whose text the serializer writes as it is: a script or a style."""
    made = ET.Element(tag)
    made.text = text
    return made


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
