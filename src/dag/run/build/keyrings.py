"""Check the public keys that melange trusts: it knows each by the name of its file alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from dag.core.limits import PUBLIC_KEY
from dag.errors import UsageError
from dag.io.files import read_bytes

_OWN = "the build's own key"


def check_keyrings(
    keyrings: Iterable[str], own: str, public: Path | None, *, flags: str = "--signing-key"
) -> None:
    """Refuse keys of which one would take the place of another.

    melange puts all of them into one directory at once, so of two with the same name only one is
    there, and it is a matter of luck which. `own` is the name of the build's own public key, and
    `public` is its file if it exists already; `flags` name another key to the command that is typed.

    Raises:
        UsageError: two different keys have one name.

    """
    known: dict[str, tuple[str, bytes | None]] = {own: (_OWN, _read(public))}
    for item in keyrings:
        is_url = "://" in item
        name = PurePosixPath(urlsplit(item).path if is_url else item).name
        data = None if is_url else _read(Path(item))
        other, others = known.setdefault(name, (item, data))
        same = other == item or (data is not None and data == others)
        if not same:
            raise UsageError(
                f"--keyring {item} and {other} are both called {name},"
                " and melange would find only one of them",
                hint="one of the two must sign with a key of another name"
                + (f"; {flags} gives this build one" if other == _OWN else ""),
            )


def _read(path: Path | None) -> bytes | None:
    return read_bytes(path, PUBLIC_KEY) if path is not None and path.is_file() else None
