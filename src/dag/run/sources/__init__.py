"""Drives `dag cache`."""
