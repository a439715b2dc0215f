"""Speaks to one registry."""
