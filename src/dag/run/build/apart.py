"""Has a signer that is apart publish what was proven: writes a request, and waits for the answer."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dag.core.build.signeroptions import SignerOptions
from dag.core.decoding import Undecodable
from dag.core.limits import SIGNING_REQUEST
from dag.core.store.layout import answer_name, request_name
from dag.core.store.records import Record
from dag.core.store.requests import (
    SignedRequest,
    SigningAnswer,
    SigningRequest,
    decode_signing_answer,
    encode_request,
    facts_of,
    request_unit,
)
from dag.core.visible import visible_line
from dag.errors import InfrastructureError
from dag.io.package.signing import SigningKey, make_key
from dag.io.store.local import Store
from dag.io.store.objects import Objects
from dag.io.store.ownkey import ENGINE, engine_key, identity_of
from dag.io.store.runs import new_run_id
from dag.io.store.seen import SeenRecords
from dag.report.words import count, seconds
from dag.run.build.signing import REFUSED_HINT, given_key, publish

_LOOK = 1.0
"""Seconds between two looks for the answer, at first."""
_LONGEST_LOOK = 10.0
_WORD = 60.0
"""Seconds after which it is said again what is waited for."""
_CRON_JOB = "the CronJob that `dag setup signer` made answers when it runs again"
NAMED = 5
"""So many of the packages that an index no longer lists are named."""


def publish_or_ask(
    store: Store,
    records: Sequence[Record],
    options: SignerOptions,
    say: Callable[[str], None],
    run: str = "",
) -> dict[str, str]:
    """Publish records that a store has, or have the signer do it that is apart.

    Returns why some could not be published, by the names of units.

    Raises:
        UsageError: the key cannot sign.
        InfrastructureError: the store cannot be written, or the signer refuses or does not answer.

    """
    if not options.is_apart:
        return publish(store, records, given_key(options.signing_key, for_melange=True), say)
    if not records:
        return {}
    request = make_request(store, run, records)
    store.lock.release()  # the signer takes it, if the store is a directory
    return ask_signer(
        store.objects,
        store.arch.apk,
        request,
        patience=options.signer_timeout,
        say=say,
        who=_CRON_JOB if store.is_shared else _who_signs_in(store.root),
    )


def _who_signs_in(directory: Path) -> str:
    """Return who answers the requests of a store in a directory, which no pod reaches."""
    words = ["dag", "agent", "sign", f"--store={directory}", "--key=FILE"]
    words += ["--public-name=NAME.rsa.pub", "--engines=DIR", "--state=DIR"]
    return (
        f"no CronJob reaches a directory, so whoever has the key answers with `{shlex.join(words)}`"
    )


def make_request(store: Store, run: str, records: Iterable[Record]) -> SignedRequest:
    """Return a request for records, signed with the engine's key.

    What was seen here when it was proven is attested.

    Raises:
        InfrastructureError: the key cannot be kept, or there is more than a signer takes.

    """
    seen = SeenRecords.of(store).all()
    request = SigningRequest(
        id=new_run_id(),
        run=run,
        arch=store.arch.apk,
        store=identity_of(store),
        units=tuple(request_unit(one, is_attested=facts_of(one) in seen) for one in records),
    )
    key = SigningKey(engine_key(make_key), f"{ENGINE}.pub")
    return SignedRequest(request.id, encode_request(request, key.sign_digest))


def ask_signer(
    objects: Objects,
    arch: str,
    request: SignedRequest,
    *,
    patience: float,
    say: Callable[[str], None],
    who: str = _CRON_JOB,
) -> dict[str, str]:
    """Write a request into a store, and wait for its answer at most so many seconds.

    Returns why some units were not published, by their names. `say` is told what the index no longer lists.
    `who` says who answers.

    Raises:
        InfrastructureError: the signer refuses the request, or does not answer.

    """
    answer = await_answer(objects, arch, request, patience=patience, say=say, who=who)
    if answer.left_out_count:
        say(left_out_words(answer.left_out, answer.left_out_count))
    return {name: visible_line(why) for name, why in answer.refused.items()}


def left_out_words(names: Sequence[str], total: int) -> str:
    """Return that a signer has left packages out of the index, of which some are named."""
    shown = [visible_line(one)[:100] for one in names[:NAMED]]
    more = f" and {total - len(shown):,} more" if total > len(shown) else ""
    return (
        f"the index no longer lists {count(total, 'package')} that no request has attested: "
        f"{', '.join(shown)}{more}. {REFUSED_HINT}"
    )


def await_answer(
    objects: Objects,
    arch: str,
    request: SignedRequest,
    *,
    patience: float,
    say: Callable[[str], None],
    who: str = _CRON_JOB,
) -> SigningAnswer:
    """Write a request into a store, and wait for its answer at most so many seconds.

    Raises:
        InfrastructureError: the signer refuses the request, or does not answer.

    """
    identity = request.id
    objects.create(request_name(identity, arch), request.data)
    name = answer_name(identity, arch)
    began, told, pause = time.monotonic(), -_WORD, _LOOK
    while (found := objects.read(name, SIGNING_REQUEST)) is None:
        waited = time.monotonic() - began
        if waited >= patience:
            raise InfrastructureError(
                f"the signer has not answered the request {identity} for {seconds(patience)}; "
                f"it is {objects.address(request_name(identity, arch))}",
                hint=f"what was built stays: {who}, and `dag publish --sign apart` asks once more",
            )
        if waited - told >= _WORD:
            say(
                f"waiting for the signer to answer the request {identity}, up to {seconds(patience)}: "
                f"{who}"
            )
            told = waited
        time.sleep(min(pause, max(0.05, patience - waited)))
        pause = min(pause * 1.5, _LONGEST_LOOK)
    try:
        answer = decode_signing_answer(found.data)
    except Undecodable as error:
        raise InfrastructureError(
            f"the signer's answer to the request {identity} cannot be read: {error}"
        ) from error
    if answer.error:
        raise InfrastructureError(
            f"the signer refuses the request {identity}: {visible_line(answer.error)}",
            hint="does it know the public half of this engine's key? `dag setup signer` says which one",
        )
    return answer
