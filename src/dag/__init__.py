"""dag: build a directory of melange package definitions along their dependency graph."""

__version__ = "0.2.0"
