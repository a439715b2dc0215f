"""Package definitions and built packages: what they say, once everything in them is resolved."""
