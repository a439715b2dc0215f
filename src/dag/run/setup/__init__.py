"""Drives the set-up of a cluster."""
