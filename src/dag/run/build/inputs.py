"""What goes into the units of a run, read from the directory of the definitions and from git."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dag.core.build.epochs import last_touches
from dag.core.build.inputs import Shared, UnitInputs
from dag.core.build.scripts import MakeVariables
from dag.core.package.model import Package
from dag.core.shell import ShellScript
from dag.io.graph import git
from dag.run.build.basis import Basis
from dag.run.build.workspace import Parts, fingerprint


def read_inputs(basis: Basis, packages: Sequence[Package]) -> UnitInputs:
    """Return what goes into the units of these packages, besides the packages of the store.

    If nobody has told when the units were last touched, git does.

    Raises:
        UsageError: $SOURCE_DATE_EPOCH is not a number.

    """
    builder = basis.builder
    script = basis.script(basis.variables)
    return UnitInputs(
        basis.graph,
        shared_inputs(basis.parts, basis.variables, script, builder.melange),
        fingerprints=basis.fingerprints,
        epochs=builder.facts.epochs if builder.facts else find_epochs(basis, packages),
        repository=basis.repositories.of,
    )


def shared_inputs(
    parts: Parts, variables: MakeVariables, script: ShellScript, melange: str
) -> Shared:
    """Return what all units have that are built by a melange; nobody knows which if it is empty.

    `variables` and `script` are those of the build, whatever its SOURCE_DATE_EPOCH.
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
    return Shared(
        arch=variables.arch.apk,
        common=fingerprint(parts.common),
        variables=tuple(same.words()),
        script=hashlib.sha256("".join([script.text, *makefile]).encode()).hexdigest(),
        melange=melange,
    )


def find_epochs(basis: Basis, packages: Sequence[Package]) -> dict[str, int]:
    """Return when what is these packages' own was last touched.

    In a shallow clone that may be unknown. Then it is what it was when the same definition was built.

    Raises:
        UsageError: $SOURCE_DATE_EPOCH is not a number.

    """
    given = git.given_epoch()
    if given is not None:
        return {package.name: given for package in packages}
    touches = last_touches(
        git.commits(basis.directory),
        {package.name: basis.parts.watched(package) for package in packages},
        {entry.path for entry in basis.parts.common},
    )
    epochs = {name: touch.time for name, touch in touches.items()}
    for name in (name for name, touch in touches.items() if touch.is_boundary):
        same = [
            record.epoch
            for record in basis.store.records_of(name)
            if record.fingerprint == basis.fingerprints[name] and record.epoch is not None
        ]
        epochs |= {name: max(same)} if same else {}
    return epochs
