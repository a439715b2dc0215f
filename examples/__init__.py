"""An example distribution that really builds, for users to read and for the tests to build."""

from examples.layout import lay_out
from examples.sources import SourceServer

__all__ = ["SourceServer", "lay_out"]
