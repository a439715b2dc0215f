"""Volume claims as stores: `pvc://CLAIM`, or a folder on one, `pvc://CLAIM/FOLDER`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dag.errors import UsageError

SCHEME = "pvc://"
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_FOLDER = re.compile(r"[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*")


@dataclass(frozen=True, slots=True)
class Claim:
    """A store on a volume that the nodes of a cluster mount."""

    name: str
    """The PersistentVolumeClaim's."""
    folder: str = ""
    """The folder on the volume; empty if it is the whole volume."""

    @classmethod
    def parse(cls, text: str) -> Claim:
        """Read `pvc://CLAIM[/FOLDER…]`.

        Raises:
            UsageError: this names no claim.

        """
        name, *folders = text.removeprefix(SCHEME).rstrip("/").split("/")
        if not (
            text.startswith(SCHEME)
            and _CLAIM.fullmatch(name)
            and all(map(_FOLDER.fullmatch, folders))
        ):
            raise UsageError(
                f"{text!r} does not name a volume claim", hint="write it like pvc://packages/wolfi"
            )
        return cls(name, "/".join(folders))

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}" + (f"/{self.folder}" if self.folder else "")
