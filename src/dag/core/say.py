"""What is told sentences for people while something goes on."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""It takes a sentence without the name of who speaks, and shows it in whatever manner was asked for."""
