"""Files that tests compare with, and that `make golden` writes anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Golden = Callable[[str | Path, str], None]
"""What compares a text with a file: one in `golden/` beside the test, by its name, or any, by its path."""
