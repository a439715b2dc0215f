"""Changes to definitions as git knows them, and pictures of the graph."""
