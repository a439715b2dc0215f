"""A build along the graph: its plan, its scheduler, its result."""
