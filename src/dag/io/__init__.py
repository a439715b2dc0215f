"""The edges: one outside system a module."""
