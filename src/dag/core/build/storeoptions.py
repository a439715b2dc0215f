"""The flags of `dag store`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dag.core.build.options import StoreOptions
from dag.core.build.signeroptions import KeyOptions
from dag.core.flags import flag_group, switch
from dag.core.package.options import (
    CompileOptions,
    DirectoryOptions,
    GeneralOptions,
    JsonOptions,
)


@flag_group
class RepairOptions(JsonOptions):
    """The choice of removing what is damaged."""

    heading: ClassVar[str] = "Store"

    repair: bool = switch(
        "--repair",
        "Remove blobs and records that are damaged, so that the next build makes them anew.",
        typed_only=True,
    )


@flag_group
class PruneOptions(JsonOptions):
    """The choice of only looking, and of forgetting what has no definition."""

    heading: ClassVar[str] = "Store"

    dry_run: bool = switch("--dry-run", "Print what would be removed, and remove nothing.")
    gone: bool = switch(
        "--gone",
        "Also unpublish and forget packages that no definition defines any more.",
        typed_only=True,
    )


@flag_group
class VerifyStoreOptions(DirectoryOptions, StoreOptions, RepairOptions, GeneralOptions):
    """The flags of `dag store verify`."""

    headings: ClassVar[Mapping[str, str]] = {"Definitions": "Store"}
    texts: ClassVar[Mapping[str, str]] = {
        "directory": "Look for dag.toml, and for the store if --store names none, in this directory.",
        "store": "Verify this store: a directory or a bucket (gs://, s3:// or az://).",
    }


@flag_group
class PruneStoreOptions(
    DirectoryOptions, CompileOptions, StoreOptions, PruneOptions, KeyOptions, GeneralOptions
):
    """The flags of `dag store prune`."""

    texts: ClassVar[Mapping[str, str]] = {
        "store": "Remove what nobody needs from this store: a directory or a bucket (gs://, s3:// or "
        "az://).",
        "signing_key": "Sign the index of what stays with this private key.",
    }
    needs: ClassVar[Mapping[str, str]] = {"signing_key": "--gone"}
