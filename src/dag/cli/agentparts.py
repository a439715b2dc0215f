"""What the commands of `dag agent` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from dag.errors import DagError

TERMINATION_LOG = Path("/dev/termination-log")
_LAST_WORDS = 2000
"""Characters; Kubernetes takes 4 KiB."""
PATH = click.Path(path_type=Path)
STORE = click.option("--store", required=True, help="The path or the URL of the store.")
ARCH = click.option("--arch", required=True, help="The architecture, as apk names it.")
STATE = click.option("--state", required=True, type=PATH, help="Where copies are kept.")


@contextmanager
def last_words() -> Iterator[None]:
    """Leave an error as the termination message, which Kubernetes shows as the container's reason."""
    try:
        yield
    except DagError as error:
        leave(error.message)
        raise
    except OSError as error:
        leave(f"{error.filename or 'the agent'}: {error.strerror}")
        raise


def leave(words: str) -> None:
    """Leave words as the termination message."""
    with suppress(OSError):
        TERMINATION_LOG.write_text(words[:_LAST_WORDS])
