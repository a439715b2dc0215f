"""Finds out what only the machine of the definitions can tell of them, and compares by it.

There are git with its history, and melange with its opinion of each definition. A build that is driven
in a cluster has neither.
"""

from __future__ import annotations

from dag.core.build.directoryfacts import DirectoryFacts, hash_of_inputs
from dag.errors import UsageError
from dag.run.build.basis import Basis
from dag.run.build.inputs import read_inputs


def find_facts(basis: Basis) -> DirectoryFacts:
    """Return what this machine knows of the directory of a build.

    Raises:
        UsageError: $SOURCE_DATE_EPOCH is not a number.

    """
    packages = basis.graph.packages
    inputs = read_inputs(basis, packages)
    return DirectoryFacts(
        epochs={one.name: time for one in packages if (time := inputs.epoch(one.name))},
        refused=dict(basis.refused),
        inputs=hash_of_inputs({one.name: inputs.own(one) for one in packages}),
    )


def require_same(basis: Basis, facts: DirectoryFacts) -> None:
    """Refuse a directory that is not the one of which somebody has told these facts.

    Raises:
        UsageError: something else goes into its units.

    """
    if find_facts(basis).inputs != facts.inputs:
        raise UsageError(
            f"what goes into the units of {basis.directory} is not what was planned",
            hint="is a file that counts left out of the bundle, such as dag.toml by .dagignore, or"
            " --agent-image one of another dag? `dag build` without --detach needs neither",
        )
