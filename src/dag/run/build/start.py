"""From the options of `dag build` to a plan, or to a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.options import BuildOptions
from dag.core.build.result import Result
from dag.core.say import Say
from dag.errors import UsageError
from dag.io.package.makefile import makefile_of
from dag.run.build.builder import this_machine
from dag.run.build.here import build_here
from dag.run.build.planning import plan_in
from dag.run.build.session import Build
from dag.run.build.stores import open_store, read_store, store_place
from dag.run.build.tools import Tools
from dag.run.signals import run_interruptibly


def plan_build(options: BuildOptions, say: Say) -> Build:
    """Plan a build without a lock and without a change.

    Raises:
        UsageError: a definition is wrong, a name unknown, or there is no Makefile.

    """
    store = read_store(store_place(options, say), _only_arch(options))
    try:
        return plan_in(store, options, say, this_machine(options))
    finally:
        store.close()


def build_packages(options: BuildOptions, say: Say, planned: Callable[[Build], None]) -> Result:
    """Build what is missing, and return what came of it; `planned` is called before it begins.

    Raises:
        UsageError: a definition is wrong, a name unknown, or there is no Makefile.
        Held: somebody else builds in this store, and `options.wait` is not set.
        InfrastructureError: the store cannot be used, or a program is missing.
        Interrupted: somebody asked to stop.

    """
    # Before a store is made in vain.
    arch = _only_arch(options)
    makefile_of(Path(options.directory), options.target_template, options.make_assignments())
    place = store_place(options, say)
    store = open_store(place, arch, wait=options.wait, say=say)
    try:
        builder = replace(this_machine(options), require=Tools.find)
        build = plan_in(store, options, say, builder)
        planned(build)
        with store.trash.emptied_meanwhile(say):
            return run_interruptibly(build_here(build))
    finally:
        store.close()


def _only_arch(options: BuildOptions) -> Arch:
    if len(options.arch) > 1:
        raise UsageError(
            f"a build on this machine is for one architecture, and --arch names {len(options.arch)}",
            hint="run it once for each, or build all of them at once with --on kubernetes",
        )
    return options.arch[0]
