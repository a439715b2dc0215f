"""Puts the manual pages into the wheel. The build of the wheel loads this file by its path."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface[Any]):
    """The hook of hatchling that makes them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages, and add them to what the wheel holds; an editable one has none."""
        if version == "editable":
            return
        root = Path(self.root)
        sys.path[:0] = [str(root), str(root / "src")]
        from publish.man import manual_pages

        directory = root / "build" / "man"
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in manual_pages().items():
            (directory / name).write_text(text, encoding="utf-8")
            build_data["shared_data"][str(directory / name)] = f"share/man/man1/{name}"
