"""The sources that builds fetch, named by content."""
