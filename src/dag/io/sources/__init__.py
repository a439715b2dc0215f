"""Fetches sources into the cache."""
