"""What melange lists of a package is what the graph chooses among before that is built."""

from __future__ import annotations

import tarfile

from dag.core.package.apkindex import read_index
from dag.core.package.supply import Supply
from dag.io.package.definitions import read
from tests.support.builds import Make, definition, run

DEPENDENCIES = """\
  dependencies:
    provider-priority: 5
    runtime: [zlib, other>1, 'so-ver:y>=2', aaa, zlib, virt, '!foe', 'aab ']
    provides: [virt=2, 'so:x=1', other=1, virt=1, 'cmd:x ', virt=2]
"""


def test_an_index_lists_what_the_graph_has(make: Make) -> None:
    place = make(odd=definition("odd", extra=DEPENDENCIES))
    code, _, said = run(place, "odd")
    assert code == 0, said
    with tarfile.open(place / "packages/x86_64/APKINDEX.tar.gz", ignore_zeros=True) as tar:
        index = tar.extractfile("APKINDEX")
        assert index is not None
        (listed,) = read_index(index.read().decode())
    (package,) = read(place, arch="x86_64", cached=False)
    (candidate,) = Supply([package]).resolver.candidates
    theirs = listed.candidate
    assert (theirs.depends, theirs.provides) == (candidate.depends, candidate.provides)
    assert (theirs.version, theirs.priority) == (candidate.version, candidate.priority)
