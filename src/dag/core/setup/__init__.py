"""The steps that make a cluster ready."""
