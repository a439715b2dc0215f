"""A real Kubernetes cluster on one machine, for the tests and the demonstration."""

from cluster.cluster import Cluster
from cluster.system import ClusterError

__all__ = ["Cluster", "ClusterError"]
