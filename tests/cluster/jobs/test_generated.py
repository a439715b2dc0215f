"""What Jobs build of a random distribution is what this machine builds, in whatever store it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.buckets import Store, azure, gcs, s3
from tests.support.cluster.claims import shared_claim
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Dag
from tests.torture.distribution import generate
from tests.torture.kills import build, environment

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.long,
    pytest.mark.torture,
    pytest.mark.timeout(1500),
    pytest.mark.xdist_group("generated"),
]

SEED = 14
COUNT = 60
BLOBS = ".dag/blobs/sha256/"
OWNED = """mkdir -p "${{targets.destdir}}/usr/bin"
echo x >"${{targets.destdir}}/usr/bin/owned"
chown 12:34 "${{targets.destdir}}/usr/bin/owned"
chmod 0750 "${{targets.destdir}}/usr/bin/owned\""""
"""Steps of root give files to other owners, as those of real distributions do."""


@dataclass(frozen=True)
class Distribution:
    """A random distribution, and what this machine builds of it."""

    directory: Path
    blobs: frozenset[str]
    """The digests of the packages without their signatures."""


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    place = tmp_path_factory.mktemp("generated")
    generate(place / "d", count=COUNT, seed=SEED, work=OWNED)
    build(place / "d", place / "here")
    return Distribution(place / "d", blobs(files(place / "here")))


@dataclass(frozen=True)
class Place:
    """A store that all nodes reach."""

    url: str
    files: Callable[[], Iterable[str]]
    words: tuple[str, ...] = ()


@contextmanager
def claim(dag: Dag) -> Iterator[Place]:
    with shared_claim(dag) as store:
        yield Place("pvc://store", lambda: files(store))


def bucket(kind: Callable[[], AbstractContextManager[Store]]) -> Callable[[Dag], Places]:
    @contextmanager
    def opened(dag: Dag) -> Iterator[Place]:
        with kind() as running:
            dag.apply("Secret", "bucket", stringData=dict(running.secret))
            url, words = f"{running.bucket}/dist", ("--bucket-secret=bucket",)
            yield Place(url, lambda: running.files("dist"), words)

    return opened


Places = AbstractContextManager[Place]
STORES = {"pvc": claim, "gs": bucket(gcs), "s3": bucket(s3), "az": bucket(azure)}
CHOSEN = list(STORES) if os.environ.get("DAG_EXPLORE") else ["pvc", "gs"]
"""What `make test` tries; `make torture` tries all, which takes minutes for each."""


@pytest.mark.parametrize("kind", CHOSEN)
def test_each_store_gets_byte_for_byte_what_this_machine_builds(
    dag: Dag, distribution: Distribution, kind: str, tmp_path: Path
) -> None:
    permitted = dag("setup", "cluster", "--user=limited")
    assert permitted.returncode == 0, permitted.stderr
    dag.environment["SOURCE_DATE_EPOCH"] = environment()["SOURCE_DATE_EPOCH"]
    with STORES[kind](dag) as place:
        jobs = Jobs(dag, tmp_path, distribution.directory, place.url)
        # Not all that the nodes have room for: other tests want Pods of their own meanwhile.
        done = jobs.build("--jobs=6", *place.words, seconds=1400)
        assert done.returncode == 0, done.stderr
        there = list(place.files())
    assert blobs(there) == distribution.blobs
    assert sum(name.endswith(".apk") for name in there) == len(distribution.blobs)
    assert "x86_64/APKINDEX.tar.gz" in there
    assert jobs.jobs() == []


def files(store: Path) -> list[str]:
    return [str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()]


def blobs(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.removeprefix(BLOBS) for name in names if name.startswith(BLOBS))
