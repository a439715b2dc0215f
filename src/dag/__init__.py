"""dag: build a directory of melange package definitions along their dependency graph."""
