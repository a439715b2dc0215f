"""What the commands of `dag agent` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from dag.core.pod.lastwords import encode_last_words
from dag.errors import DagError, words_of

TERMINATION_LOG = Path("/dev/termination-log")
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
        leave(encode_last_words(error.message, error.hint))
        raise
    except OSError as error:
        leave(encode_last_words(words_of(error)))
        raise


def leave(words: str) -> None:
    """Leave words as the termination message."""
    with suppress(OSError):
        TERMINATION_LOG.write_text(words)
