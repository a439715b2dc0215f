"""Asks the repositories that environments name, and finds what each environment can have of them.

`-r` is for all environments, and an error if it cannot be read. What definitions and the Makefile
name is for those that name it, and a warning: strangers wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dag.core.arch import Arch
from dag.core.package.model import Package
from dag.core.package.repositories import NamedByUser, Repositories, trust_of
from dag.run.announcing import announced


def ask_repositories(
    packages: Iterable[Package], directory: Path, arch: Arch, named: NamedByUser
) -> Repositories:
    """Ask all repositories that the environments of `packages` and the user name, each once.

    Raises:
        UsageError: one that the user names has no index, or a broken one.
        InfrastructureError: the server of such a one does not answer as it should.

    """
    trusts = {one.name: trust_of(one) for one in packages if one.builds_on(arch.apk)}
    if not (named.repositories or any(one.repositories or one.refused for one in trusts.values())):
        return Repositories()
    from dag.run.graph.asking import Asking  # HTTP takes longer to import than definitions to read

    with announced(lambda: "asking the repositories that environments name"):
        return Asking(trusts, directory, arch, named).ask()
