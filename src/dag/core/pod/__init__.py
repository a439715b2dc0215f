"""The pod that builds: its manifest, and what became of it."""
