"""A real browser for the pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cluster.config import BROWSER_PACKAGES
from cluster.debian import install

PATIENCE = 120_000
"""Milliseconds that a step may take: a busy machine is no failure."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Debian's Chromium, without a window.

    It goes with the module: as long as it is there, an event loop runs in this thread, and tests of
    commands start their own.
    """
    install(*BROWSER_PACKAGES)
    program = shutil.which("chromium")
    with sync_playwright() as playwright:
        # As root it has no sandbox; what it shows here is ours.
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield started
        started.close()


class Opened:
    """A page that is open, and what it complained of."""

    def __init__(self, page: Page, text: str, path: Path) -> None:
        path.write_text(text, encoding="utf-8")
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note)
        page.goto(path.as_uri(), timeout=PATIENCE)

    def _note(self, request: object) -> None:
        url = str(getattr(request, "url", ""))
        if not url.startswith(("file:", "data:")):
            self.complaints.append(f"it asks for {url}")


class Opener:
    """It opens pages."""

    def __init__(self, browser: Browser, directory: Path) -> None:
        self._browser = browser
        self._directory = directory
        self.pages: list[Page] = []

    def __call__(self, text: str, scheme: Literal["light", "dark"] = "light") -> Opened:
        page = self._browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=scheme)
        self.pages.append(page)
        return Opened(page, text, self._directory / f"page-{len(self.pages)}.html")


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Return what opens pages; they are closed in the end."""
    opener = Opener(browser, tmp_path)
    yield opener
    for page in opener.pages:
        page.close()
