"""Makes the record of a unit that has been built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from dag.core.package.apk import Apk
from dag.core.package.model import Package
from dag.core.store.records import Built, Inputs, Record
from dag.core.store.shelf import find_requirements


def make_record(
    package: Package,
    made: Sequence[Apk],
    given: Iterable[Apk],
    *,
    provider: Callable[[str], str | None],
    inputs: Inputs,
    served: Mapping[str, str],
    fingerprint: str,
    epoch: int,
    seconds: float,
    memory: int,
    log: str,
) -> Record:
    """Return the record of an attempt that made some packages where others were given.

    `provider` names the package that is chosen for a name among the definitions; `served` are the
    SHA-256 of packages of repositories, by name.
    """
    around = [*made, *given]
    return Record(
        name=package.name,
        version=package.full_version,
        key=inputs.key,
        fingerprint=fingerprint,
        inputs=inputs,
        served=dict(sorted(served.items())),
        epoch=epoch,
        seconds=round(seconds, 3),
        memory=memory,
        log=log,
        built=tuple(
            Built(apk=apk, requires=tuple(find_requirements(apk, around, provider))) for apk in made
        ),
    )
