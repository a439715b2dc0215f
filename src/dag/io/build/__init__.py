"""Journals and processes of builds on this machine."""
