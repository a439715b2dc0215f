"""The files of a distribution that somebody begins, as `dag init` writes them."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import ClassVar

from dag.core.flags import argument, flag, flag_group
from dag.core.kinds import DIRECTORY, ValueKind
from dag.core.package.options import GeneralOptions, JsonOptions
from dag.core.web import secret_of
from dag.errors import UsageError

_FILES = {
    "Makefile": "Makefile",
    "dag.toml": "dag.toml",
    "example-greeting.yaml": "example-greeting.yaml",
    "example-hello.yaml": "example-hello.yaml",
    ".gitignore": "gitignore",
}
"""Each file of a distribution, and the file beside this one that has its text."""
_LITERAL = re.compile(r"[\w./][\w.~:/?=%@+,-]*", re.ASCII)
"""What make and a shell take as it is written."""


def _literal(text: str) -> str:
    if not _LITERAL.fullmatch(text) or secret_of(text):
        raise UsageError(
            "this cannot be written into a Makefile as it is",
            hint="it must be a URL without a password, or a path, of letters, digits and"
            " . / _ ~ : ? = % @ + , - and begin with a letter, a digit, . or /",
        )
    if "://" not in text and (text.startswith("/") or ".." in text.split("/")):
        raise UsageError(
            f"{text} is not in the new directory, so no other clone of it would have that",
            hint="copy it into that directory, and name its path in there; or give a URL",
        )
    return text


_PLACE = ValueKind(metavar="URL|PATH", parse=_literal)


@flag_group
class InitOptions(JsonOptions, GeneralOptions):
    """The place of the new distribution, and what it begins with."""

    heading: ClassVar[str] = "Repositories"

    target: str = argument(
        DIRECTORY, "DIR", "The directory of the new distribution. It is made if it does not exist."
    )
    repository: str = flag(
        _PLACE,
        "-r --repository",
        "Take the packages that build environments begin with from this repository. A path is "
        "relative to DIR, and below it.",
        default="https://packages.wolfi.dev/os",
        command="init",
        typed_only=True,
    )
    keyring: str = flag(
        _PLACE,
        "--keyring",
        "Trust what is signed with this public key.",
        default="https://packages.wolfi.dev/os/wolfi-signing.rsa.pub",
        command="init",
        typed_only=True,
    )


def starter_files(repository: str, keyring: str) -> dict[str, str]:
    """Return the text of each file, by its name."""
    place = files(__name__)
    return {
        name: place.joinpath(source)
        .read_text(encoding="utf-8")
        .replace("@REPOSITORY@", repository)
        .replace("@KEYRING@", keyring)
        for name, source in _FILES.items()
    }
