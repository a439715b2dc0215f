"""`dag agent`: what runs in a pod beside the build; the manifests of pods call it."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.group(name="agent", hidden=True)
def command() -> None:
    """Do the part of a build in a pod that is not the build itself. Pods call this."""


@command.command()
@click.option("--pipe", "pipes", multiple=True, type=_PATH, help="Make this pipe.")
@click.argument("source", type=_PATH)
@click.argument("target", type=_PATH)
def unpack(source: Path, target: Path, pipes: tuple[Path, ...]) -> None:
    """Copy what the image carries in SOURCE into the volume at TARGET."""
    from dag.run.agent.unpack import unpack as run

    run(source, target, pipes)
