"""Makes what the agent of a Job is told out of what goes into an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dag.core.build.events import Start
from dag.core.build.scripts import MakeVariables, build_script
from dag.core.build.served import ServedPackages
from dag.core.image.layers import BUNDLE_ROOT
from dag.core.jobs.manifest import PIPE
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.order import GivenPackage, ServedPackage, UnitOrder, bare_package
from dag.core.package.makefile import KeyMaker
from dag.core.package.model import Package, bare_name
from dag.core.package.repositories import trust_of
from dag.core.pod.manifest import CACHE
from dag.core.store.records import Built
from dag.errors import UsageError
from dag.io.image.tree import definitions_tree
from dag.run.build.basis import Basis
from dag.run.build.places import is_linked, linked_paths, named_places
from dag.run.build.resolving import ResolvedUnit, UnitResolver
from dag.run.build.serving import FOLDER, PackageServer
from dag.run.pod.bundled import BundledFiles

_INPUTS = f"../{FOLDER}/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The orders of a run."""

    basis: Basis
    root: Path
    """The directory of the definitions, without links in its path."""
    units: UnitResolver
    server: PackageServer
    run: str
    links: tuple[str, ...]
    """Keyrings and repositories inside of the directory of the definitions."""
    variables: MakeVariables
    confined: bool
    """Whether the pods have no privilege."""

    def of(self, unit: ResolvedUnit, start: Start) -> UnitOrder:
        """Return the order of an attempt."""
        basis, package = self.basis, unit.package
        served = self.server.judge(package, unit.served)
        places = dict.fromkeys(self._in_image(one.repository) for one in served.packages)
        numbers = {place: number for number, place in enumerate(places)}
        epoch = self.units.inputs.epoch(package.name)
        targets = basis.makefile.targets([package], basis.arch)
        named = {text: self._in_image(place) for text, place in self.server.named.items()}
        return UnitOrder(
            run=self.run,
            attempt=start.attempt,
            arch=basis.arch.apk,
            package=bare_package(package),
            paths=tuple(sorted(entry.path for entry in basis.parts.of(package.name))),
            copies=self._copies(served),
            given=tuple(_given(one) for _, one in sorted(unit.given.items())),
            served=tuple(
                ServedPackage(
                    one.name,
                    one.version,
                    one.checksum,
                    numbers[self._in_image(one.repository)],
                    one.stanza,
                )
                for one in served.packages
            ),
            repositories=tuple(places),
            named=named,
            roots=self._roots(package, named),
            public_key=self.server.public_key,
            own=unit.inputs.own,
            dropped=unit.inputs.dropped,
            open=served.open,
            melange=unit.inputs.melange or "",
            defined=tuple(sorted(self._defined(unit))),
            fingerprint=basis.fingerprints.get(package.name, ""),
            epoch=epoch,
            memory=start.resources.ram,
            arguments=(*self._arguments(epoch), *targets),
            reuse=package.name not in self.units.forced,
            results=basis.store.preferred_results(package.name, package.full_version),
            witnessed=basis.options.is_apart,
        )

    def _arguments(self, epoch: int) -> list[str]:
        options = self.basis.options
        script = build_script(
            replace(self.variables, source_date_epoch=epoch),
            key_maker=KeyMaker.MELANGE,
            makefile=self.basis.makefile.built_in,
            confined=self.confined,
            hermetic=options.hermetic,
            trust_steps=options.trust_steps,
            check_path=bool(self.basis.makefile.own_calls),
            check_steps=True,
            pipes=[PIPE],
            path=_INPUTS,
        )
        return [one for one in script.arguments if not one.startswith("--bwrap=")]

    def _copies(self, served: ServedPackages) -> tuple[str, ...]:
        """Return what is copied from the bundle: keys always, repositories if melange asks them."""
        if served.open:
            return self.links
        keys = (Path(one).resolve() for one in self.basis.options.keyrings if "://" not in one)
        return tuple(str(key.relative_to(self.root)) for key in keys)

    def _roots(self, package: Package, named: Mapping[str, str]) -> dict[str, str]:
        roots = self.server.repositories.roots
        mine = {
            self._in_image(asked): self._in_image(roots.get(asked, ""))
            for asked in self.server.named.values()
        }
        own = {one.text: roots.get(one.text, "") for one in trust_of(package).repositories}
        return {**{text: self._in_image(root) for text, root in own.items()}, **mine}

    def _in_image(self, place: str) -> str:
        """Return a URL as it is, and a path inside of the directory as it is in the agent's image."""
        return (
            f"/{BUNDLE_ROOT}{place.removeprefix(str(self.root))}"
            if self._is_inside(place)
            else place
        )

    def _is_inside(self, place: str) -> bool:
        # Asked for each package of each environment: paths would take most of the time of an order.
        root = str(self.root)
        return place == root or place.startswith(f"{root}/")

    def _defined(self, unit: ResolvedUnit) -> set[str]:
        provider = self.units.graph.provider_for(unit.package.name)
        names = {bare_name(text) for one in unit.given.values() for text in one.apk.provides}
        return {name for name in names | unit.package.given if provider(name) is not None}


def _given(one: Built) -> GivenPackage:
    return GivenPackage(one.apk.name, one.apk.version, bytes.fromhex(one.apk.sha256))


def require_inside(options: UnitBuildOptions) -> None:
    """Refuse what no node would have, because it is not in the bundle.

    Raises:
        UsageError: a repository, a keyring or a directory of pipelines is not inside of the
            directory of the definitions, is left out of the bundle, or is not there; or packages are
            to be taken from another store, or built twice.

    """
    _refuse_what_is_local(options)
    root = Path(options.directory).resolve()
    for place in (*named_places(options).values(), *options.keyrings):
        if "://" not in place and not Path(place).resolve().is_relative_to(root):
            raise UsageError(
                f"{place} is not inside {options.directory}, so no node would have it",
                hint="move it there, or serve it over http(s)",
            )
        if "://" not in place and not is_linked(root, Path(place).resolve()):
            raise UsageError(
                f"{place} is where a build puts its own packages, so none could be given these there",
                hint="copy them to another folder of the directory, or serve them over http(s)",
            )
    for one in options.pipeline_dirs:
        if not Path(one).resolve().is_relative_to(root):
            raise UsageError(
                f"the pipelines in {one} are not inside {options.directory}, so no node would have them",
                hint="move them there",
            )
    local = [one for one in (*options.repositories, *options.keyrings) if "://" not in one]
    if not local and not options.pipeline_dirs:
        return  # a walk reads every file
    bundled = BundledFiles.of(definitions_tree(root, include=options.include), root)
    for one in options.repositories:
        bundled.require_repository(one, options.arch)
    for one in options.keyrings:
        bundled.require_keyring(one)
    for one in options.pipeline_dirs:
        bundled.require_pipelines(one)


def _refuse_what_is_local(options: UnitBuildOptions) -> None:
    if options.other_stores:
        raise UsageError(
            "--from is for builds on this machine: nodes cannot take packages of another store",
            hint="leave it out, or make that store the one of --store",
        )
    if options.twice:
        raise UsageError(
            "--twice is for builds on this machine: Jobs do not build again what is finished",
            hint="leave it out, or leave out --on kubernetes",
        )


def make_orders(
    basis: Basis, units: UnitResolver, server: PackageServer, run: str, *, confined: bool
) -> Orders:
    """Return what makes the orders of a run, whose options `require_inside` has looked at.

    Raises:
        UsageError: a repository is the store itself.

    """
    options = basis.options
    links = linked_paths(options, basis.store.root)
    root = basis.directory.resolve()
    variables = replace(
        basis.variables,
        cache_dir=CACHE,
        melange="melange",  # the first in PATH, see `dag.run.build.serving`
        key=basis.makefile.key,
        pipeline_dirs=[
            f"./{Path(one).resolve().relative_to(root)}" for one in options.pipeline_dirs
        ],
    )
    return Orders(
        basis=basis,
        root=root,
        units=units,
        server=server,
        run=run,
        links=tuple(links),
        variables=variables,
        confined=confined,
    )
