"""Compiles Python to byte code whose bytes depend on the source and the version of Python alone.

What `compileall` writes depends on the process, too: the default format of `marshal` tells which
objects something else holds. The older format, which every Python reads, does not.
https://docs.python.org/3/library/marshal.html, https://github.com/python/cpython/issues/78274
"""

from __future__ import annotations

import marshal
import sys
import warnings
from importlib.util import MAGIC_NUMBER, source_hash

# Python 3.14 makes constants of slices, which older formats do not have.
_FORMAT = 2 if sys.version_info < (3, 14) else marshal.version
_UNCHECKED_HASH = (1).to_bytes(4, "little")
"""Python does not compare the file with its source, which nobody changes in an image.
https://peps.python.org/pep-0552/"""


def byte_code_path(path: str) -> str:
    """Return where Python looks for the byte code of a module."""
    directory, slash, name = path.rpartition("/")
    stem = name.removesuffix(".py")
    return f"{directory}{slash}__pycache__/{stem}.{sys.implementation.cache_tag}.pyc"


def byte_code(source: bytes, path: str) -> bytes | None:
    """Return the byte code of a module that will be at `path`; None if it is not valid Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError):
            return None  # such as a template in a wheel
    return MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(source) + marshal.dumps(code, _FORMAT)
