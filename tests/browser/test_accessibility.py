"""The pages keep the rules for those who hear them, or see little, or use no mouse, as axe knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Opener
from tests.browser.test_graph_page import small
from tests.browser.test_run_page import opened_run

AXE = (Path(__file__).parents[1] / "support/vendor/axe.min.js").read_text()
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


def violations(page: Page) -> list[str]:
    """Return what axe finds, each with the element."""
    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]}: {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@SCHEMES
def test_the_page_about_a_run(open_page: Opener, scheme: Literal["light", "dark"]) -> None:
    page = opened_run(open_page, scheme).page
    for closed in page.locator("summary").all():
        closed.click()
    assert violations(page) == []


@SCHEMES
def test_the_page_about_the_graph(open_page: Opener, scheme: Literal["light", "dark"]) -> None:
    page = small(open_page, scheme).page
    page.select_option("#depth", "4")
    assert violations(page) == []


def test_a_fault_would_be_found(open_page: Opener) -> None:
    page = open_page("<html><body><img src='data:,'><input></body></html>").page
    assert {one.partition(":")[0] for one in violations(page)} >= {
        "image-alt",
        "label",
        "html-has-lang",
    }
