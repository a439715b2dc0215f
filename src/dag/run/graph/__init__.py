"""From a directory and what was asked for to packages."""
