"""The flags of `dag graph`, which asks the graph and the store of a build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dag.core.build.options import StoreOptions
from dag.core.flags import Options, flag, flag_group
from dag.core.graph.options import GraphOptions
from dag.core.kinds import FILE_OR_STDOUT
from dag.core.package.options import JsonOptions


@flag_group
class GraphFileOptions(Options):
    """The file of the page."""

    heading: ClassVar[str] = "Output"

    html: str = flag(
        FILE_OR_STDOUT,
        "-o --html",
        "Write the page to this file; - is the standard output.",
        default="dag-graph.html",
    )


@flag_group
class GraphPageOptions(GraphOptions, StoreOptions, GraphFileOptions, JsonOptions):
    """The flags of `dag graph`."""

    texts: ClassVar[Mapping[str, str]] = {
        "store": "Colour packages by the latest build in this store: a directory or a bucket (gs://, "
        "s3:// or az://).",
    }
