"""Keeps bare git repositories in the cache."""
