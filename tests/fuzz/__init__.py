"""Bytes that nobody has thought of, for every parser of what strangers write."""
