"""What the set-up of a cluster reads from outside."""
