"""Drives a build on this machine."""
