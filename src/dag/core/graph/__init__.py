"""The graph of packages: who needs whom, in which order, and where it goes in circles."""
