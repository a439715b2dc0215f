"""Names that were meant: a slip of the fingers, and nothing else."""

import pytest

from dag.core.graph.similar import SimilarNames

NAMES = ["shtools", "shtools-dev", "python-3.12", "glibc", "openssl-dev", "a", "ab"]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("shtools-deb", "shtools-dev"),
        ("shtools-dve", "shtools-dev"),
        ("shtool-dev", "shtools-dev"),
        ("sjtools-dev", "shtools-dev"),
        ("gibc", None),
        ("glibcs", "glibc"),
        ("python-3.13", None),
        ("shtools-doc", None),
        ("openssl", None),
        ("ac", None),
        ("busybox", None),
    ],
)
def test_one_slip_is_understood(wanted: str, meant: str | None) -> None:
    assert SimilarNames(NAMES).find(wanted) == meant
