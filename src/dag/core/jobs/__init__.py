"""A build as Jobs of a cluster, one for each attempt at a unit."""
