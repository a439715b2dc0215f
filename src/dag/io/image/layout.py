"""Writes an image as an OCI layout in a tar archive, which skopeo, ctr and docker read.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from dag.core.image.archive import Entry, File, archive, file_of
from dag.core.image.layers import INDEX_TYPE, canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dag.core.image.descriptors import Blob
    from dag.io.image.assembly import AssembledImage

_NAME = "org.opencontainers.image.ref.name"
"""https://github.com/opencontainers/image-spec/blob/main/annotations.md"""


def write_layout(
    file: BinaryIO, image: AssembledImage, tag: str, read_base: Callable[[Blob], Iterable[bytes]]
) -> None:
    """Write an image, with the layers of its base, which `read_base` reads.

    Raises:
        RegistryError: the registry of the base fails.

    """
    documents = (image.index, *image.manifests, *image.configs)
    blobs = {one.blob.digest: file_of(_path(one.blob), one.data) for one in documents}
    for layer in image.layers:
        blob = layer.digest.blob
        blobs[blob.digest] = File(_path(blob), blob.size, layer.read)
    for blob in image.base_layers:
        blobs[blob.digest] = File(_path(blob), blob.size, partial(read_base, blob))
    top = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [{**image.index.blob.descriptor(), "annotations": {_NAME: tag}}],
    }
    entries: list[Entry] = sorted(blobs.values(), key=lambda one: one.path)
    entries.append(file_of("index.json", canonical_json(top)))
    entries.append(file_of("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'))
    file.writelines(archive(tuple(entries), "."))


def _path(blob: Blob) -> str:
    return f"blobs/{blob.digest.replace(':', '/')}"
