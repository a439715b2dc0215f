"""Renders dot through Graphviz."""

from __future__ import annotations

import subprocess

from dag.errors import InfrastructureError

TIMEOUT = 600.0


def render(dot: str, *, form: str = "svg") -> bytes:
    """What `dot -T FORM` makes of `dot`.

    Raises:
        InfrastructureError: Graphviz is not installed, failed, or took more than ten minutes.

    """
    try:
        process = subprocess.run(
            ["dot", f"-T{form}"],
            input=dot.encode(),
            capture_output=True,
            check=False,
            timeout=TIMEOUT,
        )
    except FileNotFoundError:
        raise InfrastructureError(
            "Graphviz is not installed: there is no `dot`",
            hint="install graphviz, or take `--format dot`",
        ) from None
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"Graphviz took more than {TIMEOUT:.0f} s", hint="select fewer packages"
        ) from None
    if process.returncode != 0:
        raise InfrastructureError(f"Graphviz failed: {process.stderr.decode(errors='replace')}")
    return process.stdout
