"""Buckets of several clouds, and directories, behind the same few operations."""
