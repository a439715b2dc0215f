"""What goes into the units of a run, read from the directory of the definitions and from git."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dag.core.build.epochs import last_touches
from dag.core.build.inputs import Shared, UnitInputs
from dag.core.build.scripts import MakeVariables
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import PackageRepository
from dag.core.package.model import Package
from dag.core.shell import ShellScript
from dag.io.graph import git
from dag.io.store.local import Store
from dag.run.build.workspace import Parts, fingerprint


def read_inputs(
    packages: Sequence[Package],
    *,
    directory: Path,
    graph: Graph,
    parts: Parts,
    fingerprints: Mapping[str, str],
    store: Store,
    variables: MakeVariables,
    script: ShellScript,
    melange: str,
    repository: Callable[[str], PackageRepository],
    epochs: Mapping[str, int] | None = None,
) -> UnitInputs:
    """Return what goes into the units of these packages, besides the packages of the store.

    `variables` and `script` are those of the build, whatever its SOURCE_DATE_EPOCH; `melange` is the
    one that builds, empty if nobody knows; `repository` returns what the repositories of a package's
    environment list. Without `epochs`, git tells when the units were last touched.

    Raises:
        UsageError: $SOURCE_DATE_EPOCH is not a number.

    """
    # Where programs, keys and the cache are on this machine is nothing that goes into a package.
    same = replace(
        variables,
        source_date_epoch=0,
        cache_dir="cache",
        melange="melange",
        melange_dir="melange",
        key=Path(variables.key).name,
        pipeline_dirs=(),
        files=(),
    )
    makefile = [word for word in script.arguments if word.startswith("--makefile=")]
    shared = Shared(
        arch=variables.arch.apk,
        common=fingerprint(parts.common),
        variables=tuple(same.words()),
        script=hashlib.sha256("".join([script.text, *makefile]).encode()).hexdigest(),
        melange=melange,
    )
    if epochs is None:
        epochs = find_epochs(packages, directory, parts, fingerprints, store)
    return UnitInputs(
        graph, shared, fingerprints=fingerprints, epochs=epochs, repository=repository
    )


def find_epochs(
    packages: Iterable[Package],
    directory: Path,
    parts: Parts,
    fingerprints: Mapping[str, str],
    store: Store,
) -> dict[str, int]:
    """Return when what is these packages' own was last touched.

    In a shallow clone that may be unknown. Then it is what it was when the same definition was built.

    Raises:
        UsageError: $SOURCE_DATE_EPOCH is not a number.

    """
    given = git.given_epoch()
    if given is not None:
        return {package.name: given for package in packages}
    touches = last_touches(
        git.commits(directory),
        {package.name: parts.watched(package) for package in packages},
        {entry.path for entry in parts.common},
    )
    epochs = {name: touch.time for name, touch in touches.items()}
    for name in (name for name, touch in touches.items() if touch.is_boundary):
        same = [
            record.epoch
            for record in store.records_of(name)
            if record.fingerprint == fingerprints[name] and record.epoch is not None
        ]
        epochs |= {name: max(same)} if same else {}
    return epochs
