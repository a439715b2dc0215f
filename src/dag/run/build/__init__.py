"""The driver of a build on this machine."""
