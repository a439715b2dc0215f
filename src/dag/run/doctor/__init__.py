"""Drives an examination."""
