"""Judges what facts about a cluster mean for a build there."""
