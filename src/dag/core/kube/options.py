"""The flags that say which cluster is spoken to."""

from __future__ import annotations

from typing import ClassVar, Protocol

from dag.core.flags import Options, flag, flag_group
from dag.core.kinds import FILE, TEXT

_CLUSTER = "Cluster"
CONTEXT_NAMESPACE = "the context's, as kubectl has it, else default"
"""The default of every --namespace in a cluster that is there, in words."""


@flag_group
class ContextOptions(Options):
    """One of the clusters that a kubeconfig names."""

    heading: ClassVar[str] = _CLUSTER

    context: str | None = flag(
        TEXT,
        "--context",
        "Use this context of the kubeconfig.",
        shown="the current one",
        metavar="NAME",
    )


@flag_group
class KubeconfigOptions(Options):
    """The file that names clusters and credentials."""

    heading: ClassVar[str] = _CLUSTER

    kubeconfig: str | None = flag(
        FILE, "--kubeconfig", "Read this kubeconfig.", shown="as kubectl finds it"
    )


class NamesCluster(Protocol):
    """The flags that say which cluster is meant."""

    @property
    def kubeconfig(self) -> str | None:
        """Return the path of the kubeconfig, if one is given."""

    @property
    def context(self) -> str | None:
        """Return the context of the kubeconfig, if one is given."""


class NamesNamespace(NamesCluster, Protocol):
    """The flags that say which namespace of which cluster is meant."""

    @property
    def namespace(self) -> str | None:
        """Return the namespace, if one is given."""
