"""`dag agent`: what runs in a pod beside the build; the manifests of pods call it."""

from __future__ import annotations

from pathlib import Path

import click

from dag.cli.agentparts import ARCH, PATH, STATE, STORE, TERMINATION_LOG, last_words, leave
from dag.cli.agentsigning import ask_signer, publish, sign
from dag.cli.interrupts import clean_up_when_told
from dag.core.store.buckets import EMPTY, Bucket
from dag.errors import InfrastructureError


@click.group(name="agent", hidden=True)
def command() -> None:
    """Do the part of a build in a pod that is not the build itself. Pods call this."""
    clean_up_when_told()


@command.command()
@click.option("--pipe", "pipes", multiple=True, type=PATH, help="Make this pipe.")
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
def unpack(source: Path, target: Path, pipes: tuple[Path, ...]) -> None:
    """Copy what the image carries in SOURCE into the volume at TARGET."""
    from dag.run.agent.unpack import unpack as run

    with last_words():
        run(source, target, pipes)


def _bucket(_: click.Context, __: click.Parameter, value: str) -> Bucket:
    return Bucket.parse(value)


_TO_BUCKET = click.option("--bucket", required=True, callback=_bucket, help="The bucket's URL.")
_WORKSPACE = click.option("--workspace", required=True, type=PATH, help="Where the build is.")
_PIPE = click.option("--pipe", required=True, type=PATH, help="What the build holds open.")


@command.command()
@_TO_BUCKET
@ARCH
@_WORKSPACE
@click.argument("wanted", nargs=-1)
def fetch(bucket: Bucket, arch: str, workspace: Path, wanted: tuple[str, ...]) -> None:
    """Bring those of the files WANTED that the bucket has."""
    from dag.run.agent.fetch import fetch as run

    with last_words():
        run(bucket, arch, wanted, workspace)


@command.command()
@_TO_BUCKET
@ARCH
@_WORKSPACE
@_PIPE
@STATE
@click.option("--key", type=PATH, help="Sign the bucket's index with this key.")
@click.option("--public-key", default="", help="The name of the public half.")
def upload(
    *,
    bucket: Bucket,
    arch: str,
    workspace: Path,
    pipe: Path,
    state: Path,
    key: Path | None,
    public_key: str,
) -> None:
    """Upload what is whole when the build has ended."""
    from dag.io.package.signing import SigningKey
    from dag.run.agent.upload import UploadOrder
    from dag.run.agent.upload import upload as run

    with last_words():
        run(
            UploadOrder(
                bucket=bucket,
                arch=arch,
                workspace=workspace,
                pipe=pipe,
                state=state,
                key=None if key is None else SigningKey(key, public_key),
            )
        )


_RUN = click.option("--run", "run_id", required=True, help="The run's id.")
_PORT = click.option("--port", required=True, type=int, help="The port to listen on.")
_HOLD = click.option("--hold", required=True, type=float, help="Seconds to wait for a client.")


@command.command()
@_RUN
@ARCH
@_WORKSPACE
@_PIPE
@STATE
@click.option("--log-directory", required=True, type=PATH, help="Where the build's log is.")
@click.option("--public-key", required=True, help="The name of the public key.")
@_PORT
@_HOLD
def serve(
    *,
    run_id: str,
    arch: str,
    workspace: Path,
    pipe: Path,
    state: Path,
    log_directory: Path,
    public_key: str,
    port: int,
    hold: float,
) -> None:
    """Serve what was built to the client of `--out`."""
    from dag.run.agent.serve import ServeOrder
    from dag.run.agent.serve import serve as run
    from dag.run.agent.serving import Service

    order = ServeOrder(
        service=Service(run=run_id, port=port, hold=hold),
        arch=arch,
        workspace=workspace,
        pipe=pipe,
        state=state,
        log_directory=log_directory,
        public_key=public_key,
    )
    with last_words():
        run(order)


@command.command(name="try-bucket")
@_TO_BUCKET
@click.option("--write", "probe", help="Write and delete this object.")
def try_bucket(bucket: Bucket, probe: str | None) -> int:
    """List a bucket; the exit code is 3 if it has no packages."""
    from dag.run.agent.buckets import try_bucket as run

    with last_words():
        return 0 if run(bucket, probe) or probe is not None else EMPTY


@command.command(name="try-proxy")
@click.option("--proxy", required=True, help="The proxy's URL.")
def try_proxy(proxy: str) -> None:
    """Try whether a proxy serves."""
    from dag.io.connections import useless_proxy

    with last_words():
        if why := useless_proxy(proxy):
            raise InfrastructureError(why)


_PLACE = click.option("--place", required=True, type=PATH, help="Where the unit is built.")


@command.command()
@STORE
@_PLACE
@STATE
@_PIPE
@click.option("--bundle", required=True, type=PATH, help="Where the definitions are.")
@click.option("--script", required=True, type=PATH, help="Write the build's script here.")
@click.argument("order", nargs=-1, required=True)
def prepare(
    *,
    store: str,
    place: Path,
    state: Path,
    pipe: Path,
    bundle: Path,
    script: Path,
    order: tuple[str, ...],
) -> None:
    """Lay out what one unit gets, as the ORDER of its Job says."""
    from dag.run.agent.prepare import UnitPlaces
    from dag.run.agent.prepare import prepare as run

    with last_words():
        run(order, UnitPlaces(store=store, place=place, state=state, pipe=pipe), bundle, script)


@command.command()
@STORE
@_PLACE
@STATE
@_PIPE
@click.option("--log-directory", required=True, type=PATH, help="Where the build's log is.")
def collect(*, store: str, place: Path, state: Path, pipe: Path, log_directory: Path) -> None:
    """Take what one unit's build left into the store, if it is what was promised."""
    from dag.run.agent.collect import collect as run
    from dag.run.agent.prepare import UnitPlaces

    with last_words():
        places = UnitPlaces(store=store, place=place, state=state, pipe=pipe)
        run(places, log_directory, TERMINATION_LOG)


@command.command(name="list-store")
@STORE
@ARCH
@STATE
def list_store(store: str, arch: str, state: Path) -> None:
    """Tell what a store has."""
    from dag.core.arch import Arch
    from dag.run.agent.store import list_store as run

    with last_words():
        run(store, Arch.parse(arch), state / "store")


@command.command(name="try-store")
@STORE
@ARCH
@STATE
@click.option("--write", "probe", required=True, help="Write and delete this object.")
def try_store(store: str, arch: str, state: Path, probe: str) -> None:
    """Try whether a store can be written."""
    from dag.core.arch import Arch
    from dag.run.agent.store import try_store as run

    with last_words():
        run(store, Arch.parse(arch), state / "store", probe)


@command.command(name="list-runs")
@STORE
@ARCH
@STATE
@click.option("--of", "archs", multiple=True, help="Tell of this architecture; else of all.")
@click.option("--run", "run_id", default="", help="Tell of the runs whose ids begin so.")
@click.option("--unit", default="", help="Tell the log of this unit, too.")
@click.option("--all", "every", is_flag=True, help="Tell of all runs.")
@click.option("--page", is_flag=True, help="Tell what a page about a run needs.")
def list_runs(  # every agent is told the architecture of its node
    *,
    store: str,
    arch: str,  # noqa: ARG001
    state: Path,
    archs: tuple[str, ...],
    run_id: str,
    unit: str,
    every: bool,
    page: bool,
) -> None:
    """Tell what a store keeps of its runs."""
    from dag.core.arch import Arch
    from dag.core.jobs.history import RunQuery
    from dag.run.agent.history import list_runs as run

    with last_words():
        query = RunQuery(run=run_id, unit=unit, every=every, page=page)
        run(store, [*map(Arch.parse, archs)], state / "store", query)


@command.command(name="keep-run")
@STORE
@ARCH
@STATE
@_RUN
@click.option("--ram", type=(str, int), multiple=True, help="Remember the bytes that a unit needs.")
@click.option("--disk", type=(str, int), multiple=True, help="Remember the disk that it needs.")
@click.argument("files", nargs=-1)
def keep_run(
    *,
    store: str,
    arch: str,
    state: Path,
    run_id: str,
    ram: tuple[tuple[str, int], ...],
    disk: tuple[tuple[str, int], ...],
    files: tuple[str, ...],
) -> None:
    """Keep the FILES of a run in a store."""
    from dag.core.arch import Arch
    from dag.run.agent.places import open_agent_store
    from dag.run.agent.store import EndedRun
    from dag.run.agent.store import keep_run as run

    ended = EndedRun(run=run_id, files=files, ram=dict(ram), disk=dict(disk))
    with last_words():
        run(open_agent_store(store, Arch.parse(arch), state / "store"), ended)


@command.command(name="serve-store")
@STORE
@ARCH
@STATE
@_RUN
@_PORT
@_HOLD
def serve_store(*, store: str, arch: str, state: Path, run_id: str, port: int, hold: float) -> None:
    """Serve what a store publishes to the client of `--out`."""
    from dag.core.arch import Arch
    from dag.run.agent.places import open_agent_store
    from dag.run.agent.published import serve_published
    from dag.run.agent.serving import Service

    with last_words():
        opened = open_agent_store(store, Arch.parse(arch), state / "store")
        serve_published(opened, Service(run=run_id, port=port, hold=hold))


@command.command()
@click.argument("handover", nargs=-1, required=True)
def drive(handover: tuple[str, ...]) -> None:
    """Drive the build of a HANDOVER, whose units are Jobs."""
    from dag.cli.build import tell_plan
    from dag.core.jobs.handover import encode_end
    from dag.run.jobs.drive import drive as run

    with last_words():
        end = run(handover, tell_plan)
    leave(encode_end(end))


for one in (publish, ask_signer, sign):
    command.add_command(one)
