"""Runs a build as Jobs of a cluster."""
