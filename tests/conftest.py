"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine makes an example slow; that says nothing about the code.
settings.register_profile("dag", deadline=None)
settings.load_profile("dag")
