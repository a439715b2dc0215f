"""Reads definitions, Makefiles, packages and their indexes."""
