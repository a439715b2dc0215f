"""Run as `python -m dag`."""

from dag.cli.main import run

run()
