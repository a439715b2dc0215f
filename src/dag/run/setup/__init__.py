"""The driver of the set-up of a cluster."""
