"""A real Kubernetes cluster on one machine, for the tests and the demonstration."""
