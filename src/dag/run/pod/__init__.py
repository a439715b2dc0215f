"""Drives a pod from its request to its result."""
