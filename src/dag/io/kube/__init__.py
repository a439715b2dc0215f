"""Speaks to the Kubernetes API."""
