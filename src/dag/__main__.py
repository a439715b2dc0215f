"""Run as `python -m dag`."""

from dag.cli.start import run

run()
