"""Reads what a set-up needs from outside."""
