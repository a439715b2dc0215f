"""The commands of `dag agent` that publish a store, or have a signer do it that is apart."""

from __future__ import annotations

from pathlib import Path

import click

from dag.cli.agentparts import ARCH, PATH, STATE, STORE, TERMINATION_LOG, last_words


@click.command()
@STORE
@ARCH
@STATE
@click.option("--public-name", required=True, help="The name of the public key.")
@click.option("--public-key", required=True, help="The public key, in base64.")
@click.option("--digest", default="", help="The SHA-256 of the index that is signed.")
@click.option("--signature", default="", help="The signature of that, in base64.")
@click.option("--anew", is_flag=True, help="Sign the index although it lists all already.")
@click.argument("records", nargs=-1, required=True)
def publish(
    *,
    store: str,
    arch: str,
    state: Path,
    public_name: str,
    public_key: str,
    digest: str,
    signature: str,
    anew: bool,
    records: tuple[str, ...],
) -> None:
    """Publish RECORDS of a store, and its index."""
    from dag.core.arch import Arch
    from dag.run.agent.places import open_agent_store
    from dag.run.agent.store import IndexSignature, PublishOrder, publish_order

    signed = IndexSignature(
        public_name=public_name, public_key=public_key, digest=digest, signature=signature
    )
    with last_words():
        order = PublishOrder(records=records, anew=anew)
        opened = open_agent_store(store, Arch.parse(arch), state / "store")
        publish_order(opened, order, signed, TERMINATION_LOG)


@click.command(name="ask-signer")
@STORE
@ARCH
@STATE
@click.option("--request", "identity", required=True, help="The id of the request.")
@click.option("--patience", required=True, type=float, help="Seconds to wait for the answer.")
@click.argument("words", nargs=-1, required=True)
def ask_signer(
    *, store: str, arch: str, state: Path, identity: str, patience: float, words: tuple[str, ...]
) -> None:
    """Write the request WORDS into a store, and wait for the signer's answer."""
    from dag.core.arch import Arch
    from dag.run.agent.places import open_agent_store
    from dag.run.agent.store import ask_signer as run

    with last_words():
        opened = open_agent_store(store, Arch.parse(arch), state / "store")
        run(opened, identity, words, patience, TERMINATION_LOG)


@click.command()
@STORE
@click.option("--arch", "archs", multiple=True, help="Sign for this architecture; else for all.")
@STATE
@click.option("--key", required=True, type=PATH, help="Sign with this private key.")
@click.option("--public-name", required=True, help="The name of its public half.")
@click.option("--engines", required=True, type=PATH, help="Where the public keys of engines are.")
@click.option("--trust-store", is_flag=True, help="Publish what no request has attested, too.")
@click.option("--check", is_flag=True, help="Only look whether the keys and the store are there.")
def sign(
    *,
    store: str,
    archs: tuple[str, ...],
    state: Path,
    key: Path,
    public_name: str,
    engines: Path,
    trust_store: bool,
    check: bool,
) -> None:
    """Publish and sign what trusted engines ask for. A CronJob that is apart calls this."""
    from dag.core.arch import Arch
    from dag.run.agent.sign import answer_all, read_signer

    with last_words():
        files = sorted(engines.glob("*.pub"))
        signer = read_signer(key, public_name, files, trust=trust_store)
        answer_all(store, [*map(Arch.parse, archs)], state / "store", signer, check=check)
