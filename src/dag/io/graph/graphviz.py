"""Drawing of graphs with Graphviz."""

from __future__ import annotations

import subprocess

from dag.errors import InfrastructureError

TIMEOUT = 600.0
"""How many seconds Graphviz may take."""


def render(dot: str) -> str:
    """Return the picture, as SVG, that Graphviz makes of a graph in its language.

    Raises:
        InfrastructureError: Graphviz is not installed, failed, or took more than ten minutes.

    """
    try:
        process = subprocess.run(
            ["dot", "-Tsvg"],
            input=dot.encode(),
            capture_output=True,
            check=False,
            timeout=TIMEOUT,
        )
    except FileNotFoundError:
        raise InfrastructureError(
            "Graphviz is not installed: there is no program `dot`",
            hint="install graphviz, or use --format dot",
        ) from None
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"Graphviz took more than {TIMEOUT:.0f} seconds", hint="select fewer packages"
        ) from None
    if process.returncode != 0:
        raise InfrastructureError(f"Graphviz failed: {process.stderr.decode(errors='replace')}")
    return process.stdout.decode()
