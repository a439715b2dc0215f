"""The commands of containers, as the API server wants them written."""

from __future__ import annotations

import re
from collections.abc import Iterable

# https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
_REPLACED = re.compile(r"\$\$|\$\([-._A-Za-z0-9]+\)")


def container_words(words: Iterable[str]) -> list[str]:
    """Return words for `command`, `args` or a variable of a container that mean just what they say.

    Kubernetes puts a variable's value in the place of `$(NAME)`, and `$` in the place of `$$`.
    """
    return [word.replace("$", "$$") if _REPLACED.search(word) else word for word in words]
