"""Gathers what `core.doctor` judges of a build on this machine: looks at programs, disk, keys, servers.

What a build itself must have is asked by what the build asks, and so told in the same words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from dag.core.arch import Arch
from dag.core.build.events import ComputeResources
from dag.core.build.resources import resources_of_flags, too_large_words, unit_resources
from dag.core.doctor import localchecks
from dag.core.doctor.checks import Finding, ok, skipped
from dag.core.doctor.options import DoctorOptions
from dag.core.package.model import Package
from dag.core.package.repositories import NamedByUser, Repositories
from dag.core.units import quantity
from dag.core.web import redact
from dag.io.build.confinement import detect
from dag.io.build.disk import free_bytes
from dag.io.connections import useless_proxy
from dag.io.package.keypairs import public_half
from dag.io.package.makefile import find_makefile, makefile_of
from dag.io.package.melange import melange_version
from dag.io.store.ownkey import find_own_key
from dag.report.obstacles import obstacle_lines
from dag.report.terminal import Terminal
from dag.report.words import count
from dag.run.aside import aside
from dag.run.build.keyrings import check_keyrings
from dag.run.build.machine import machine_resources
from dag.run.build.signing import given_key
from dag.run.build.start import plan_build
from dag.run.build.steps import (
    PROXY_REMEDY,
    environment_of_builds,
    kept_from_steps,
    require_confined_steps,
    require_known_calls,
    require_usable_place,
)
from dag.run.build.stores import read_store, store_name, store_place
from dag.run.build.tools import PROGRAMS, find_program, melange_here
from dag.run.doctor.definitions import judge_definitions
from dag.run.graph.definitions import read_definitions
from dag.run.graph.repositories import ask_repositories
from dag.run.pod.examination import Check, examine


class LocalDoctor:
    """One examination of what `dag build` with these flags would meet on this machine."""

    def __init__(self, chosen: DoctorOptions, terminal: Terminal) -> None:
        self._chosen = chosen
        self._terminal = terminal
        self._packages: list[Package] = []

    async def examine(self) -> dict[str, Finding]:
        """Make all checks, in the order in which they are told; nothing is left behind."""
        return await examine([*self._checks()])

    def _checks(self) -> Iterator[Check]:
        yield Check("definitions", (), self._definitions)
        for arch in self._chosen.arch:
            yield _check(
                f"repositories {arch}", ("definitions",), partial(self._repositories, arch)
            )
        for name in PROGRAMS:
            look = self._melange if name == "melange" else partial(self._program, name)
            yield _check(name, (), look)
        yield _check("steps", [one for one in PROGRAMS if one != "melange"], self._steps)
        variables = environment_of_builds(self._chosen)
        named = (variables[name] for name in ("http_proxy", "https_proxy") if name in variables)
        if proxies := [*dict.fromkeys(named)]:
            yield _check("proxy", (), partial(self._proxy, proxies))
        yield _check("memory", (), lambda: localchecks.memory(detect().name))
        yield _check("units", ("definitions",), self._units)
        yield _check("store", (), self._store)
        yield _check("room", ("store",), self._room)
        before = ("definitions",) if self._chosen.key_file else ("definitions", "store")
        yield _check("key", before, self._key)
        for arch in self._chosen.arch:
            known = ("definitions", f"repositories {arch}", "store", "key")
            yield _check(f"plan {arch}", known, partial(self._plan, arch))

    async def _definitions(self) -> Finding:
        melange = melange_here(self._chosen.make_vars)
        finding, made = await judge_definitions(
            self._chosen, self._terminal, melange, localchecks.LEFT_OUT
        )
        self._packages = [one for packages in made.values() for one in packages]
        return finding

    def _units(self) -> Finding:
        machine = machine_resources()
        default = resources_of_flags(self._chosen.cpu, self._chosen.ram)
        asked = {one.name: unit_resources(one, default) for one in self._packages}
        has = ComputeResources(machine.processors * 1000, machine.ram)
        return localchecks.units(too_large_words(asked, has))

    def _repositories(self, arch: Arch) -> Finding:
        chosen = self._chosen
        found = read_definitions(chosen, chosen.directory, arch)
        named = NamedByUser(repositories=chosen.repositories, keys=chosen.keyrings)
        asked: Repositories = ask_repositories(found.packages, Path(chosen.directory), arch, named)
        return localchecks.repositories(len(asked.roots), asked.words)

    def _plan(self, arch: Arch) -> Finding:
        chosen = self._chosen
        # What the Makefile calls is judged by the check of the steps.
        options = replace(chosen.of_build(arch), trust_steps=True)
        build = plan_build(options, self._terminal.say_once)
        plan, basis = build.plan, build.basis
        obstacles = obstacle_lines(
            plan, basis.graph, options.repositories, basis.repositories, verbose=chosen.verbose
        )
        return localchecks.plan(f"{count(len(plan.steps), 'package')} to build", [*obstacles])

    def _program(self, name: str) -> Finding:
        return ok(find_program(name))

    def _melange(self) -> Finding:
        path = melange_here(self._chosen.make_vars) or find_program("melange")
        return localchecks.melange(path, melange_version(path))

    def _steps(self) -> Finding:
        if self._chosen.trust_steps:
            return skipped("--trust-steps gives steps all rights that you have")
        directory, make_vars = Path(self._chosen.directory), self._chosen.make_vars
        template, assignments = self._chosen.target_template, self._chosen.make_assignments()
        if makefile := find_makefile(directory, template, assignments):
            require_known_calls(makefile, directory, make_vars)
        require_confined_steps(environment_of_builds(self._chosen))
        return ok("a step that does nothing was confined")

    def _proxy(self, proxies: Sequence[str]) -> Finding:
        names = {one: redact(one) for one in proxies}
        useless = [f"{name}: {why}" for one, name in names.items() if (why := useless_proxy(one))]
        chosen = self._chosen
        kept = "" if chosen.hermetic else kept_from_steps(environment_of_builds(chosen))
        return localchecks.proxy([*names.values()], useless, kept, PROXY_REMEDY)

    def _store(self) -> Finding:
        place, number = store_place(self._chosen, self._terminal.detail), 0
        for arch in self._chosen.arch:
            with closing(read_store(place, arch)) as store:
                number += len(store.records)
        name = store_name(self._chosen)
        require_usable_place(Path(place.root))
        there = _nearest(place.root)
        if not os.access(there, os.W_OK | os.X_OK):
            return localchecks.unwritable(name, str(there))
        if not place.exists():
            return ok(f"{name} is no store yet; the first build makes it one")
        return ok(f"{name} can be read; finished packages there: {number:,}")

    def _room(self) -> Finding:
        there = _nearest(store_place(self._chosen, self._terminal.detail).root)
        return localchecks.room(str(there), free_bytes(there), int(quantity(self._chosen.disk)))

    def _key(self) -> Finding:
        chosen = self._chosen
        if not chosen.signs_here:
            return ok("nothing is signed here, because of --publish=false or --sign apart")
        given = given_key(chosen.key_file, for_melange=True)
        key = given or self._own_key()
        makefile = makefile_of(
            Path(chosen.directory), chosen.target_template, chosen.make_assignments()
        )
        name = public_half(given or Path(makefile.key)).name
        check_keyrings(chosen.keyrings, name, public_half(key) if key else None)
        if key is None:
            return ok("the store's own signs; the next build makes it")
        whose = key if given else f"the store's own, {key},"
        return ok(f"{whose} signs, and {public_half(key)} is its public half")

    def _own_key(self) -> Path | None:
        place = store_place(self._chosen, self._terminal.detail)
        with closing(place.store(self._chosen.arch[0])) as store:
            return find_own_key(store)


def _nearest(root: str | PurePath) -> Path:
    """Return the directory of a store, or the one in which the first of its path would be made."""
    place = Path(root).absolute()
    return next(path for path in (place, *place.parents) if path.exists())


def _check(name: str, needs: Sequence[str], look: Callable[[], Finding]) -> Check:
    """Return a check that waits for files, programs or servers."""
    return Check(name, needs, lambda: aside(look))
