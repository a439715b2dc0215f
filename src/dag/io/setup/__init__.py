"""The input of the set-up of a cluster that comes from outside."""
