"""The directory in which dag runs, which somebody may have deleted meanwhile."""

from __future__ import annotations

import os

from dag.errors import InfrastructureError


def check_workplace() -> None:
    """Check that the working directory is there, before a path is looked for in it.

    Raises:
        InfrastructureError: it was deleted.

    """
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError as error:
        raise InfrastructureError(
            f"the directory in which dag runs was deleted: {error.strerror}",
            hint="change to one that is there, such as with `cd .` if it was made anew",
        ) from None
