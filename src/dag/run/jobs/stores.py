"""Short Jobs whose agents tell what a store has, on a volume claim or in a bucket, and publish there."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dag.core.arch import Arch
from dag.core.build.scripts import OUT_PORT
from dag.core.decoding import Undecodable
from dag.core.jobs.ending import how_agent_ended
from dag.core.jobs.history import MOST_WORDS, RunFiles, RunQuery, encode_files
from dag.core.jobs.listing import PublishAnswer, StoreListing, decode_listing, decode_published
from dag.core.jobs.manifest import AGENT, JobSettings, agent_job
from dag.core.jobs.order import encode_texts
from dag.core.jobs.packing import pack_words
from dag.core.kube.objects import KubeView
from dag.core.pod.ending import TAKEN_AWAY, Cause
from dag.core.pod.states import WatchRules
from dag.core.pod.status import containers, termination
from dag.core.store.layout import record_name
from dag.core.store.records import Record
from dag.core.store.requests import SignedRequest
from dag.errors import InfrastructureError
from dag.io.kube.api import Kube
from dag.io.package.keypairs import public_half
from dag.io.package.signing import SigningKey
from dag.io.store.local import Store
from dag.run.build.apart import left_out_words
from dag.run.jobs.attempt import JobFollower
from dag.run.jobs.logs import read_lines
from dag.run.jobs.out import Delivery
from dag.run.jobs.single import Meanwhile, run_job

_HOLD = 600
"""Seconds for which an agent waits for a client that fetches nothing any more."""
_TRIES = 5
"""How many agents are made for one thing if somebody takes one after the other away."""
_ROUNDS = 10
"""How often an index is signed anew because somebody else has published meanwhile."""


@dataclass(frozen=True, slots=True)
class LearntNeeds:
    """What units turned out to need, which the store does not know yet: bytes, by name."""

    ram: Mapping[str, int]
    disk: Mapping[str, int]

    @classmethod
    def of(cls, replica: Store, listing: StoreListing) -> LearntNeeds:
        """Return what a replica knows now, and the store did not when it was listed."""
        return cls(
            ram=_more(replica.hints.all(), listing.ram),
            disk=_more(replica.disk_hints.all(), listing.disk),
        )


@dataclass(frozen=True, slots=True)
class StoreAgent:
    """Agents that do something to the store of some settings."""

    kube: Kube
    settings: JobSettings
    tell: Callable[[str], None]
    """It is told why an agent waits, if that takes long."""

    async def list(self) -> StoreListing:
        """Return what the store has.

        Raises:
            InfrastructureError: no agent could tell.

        """
        return await self._listing("list-store", "tell what the store has")

    async def list_runs(self, query: RunQuery, archs: Iterable[Arch]) -> StoreListing:
        """Return what the store keeps of runs for some architectures, or for all if none is named.

        Raises:
            InfrastructureError: no agent could tell.

        """
        words = [f"--run={query.run}", f"--unit={query.unit}"]
        words += [f"--of={arch}" for arch in archs]
        words += ["--all"] if query.every else []
        words += ["--page"] if query.page else []
        return await self._listing("list-runs", "tell what the store keeps of runs", *words)

    async def _listing(self, command: str, aim: str, *words: str) -> StoreListing:
        follower = await self._run(command, aim, *words)
        lines = await read_lines(self.kube, follower.pod, AGENT)
        try:
            listing = decode_listing(lines)
        except Undecodable as error:
            raise InfrastructureError(
                f"what the agent tells of {self.settings.store} is damaged: {error}"
            ) from error
        await follower.remove()
        return listing

    async def publish(
        self,
        records: Sequence[Record],
        key: SigningKey,
        *,
        anew: bool,
    ) -> dict[str, str]:
        """Publish records of the store and sign its index here.

        Returns why some could not be published, by the names of units. With `anew` the index is signed
        although it lists all already: the key may be another one.

        Raises:
            InfrastructureError: no agent could do it.

        """
        arch = self.settings.arch.apk
        public = public_half(key.path).read_bytes()
        words = [f"--public-name={key.public_name}", f"--public-key={_base64(public)}"]
        if anew:
            words.append("--anew")
        names = encode_texts(record_name(arch, one) for one in records)
        signed: list[str] = []
        refused: dict[str, str] = {}
        for _ in range(_ROUNDS):
            follower = await self._run("publish", "publish", *words, *signed, "--", *names)
            answer = _answer(follower.pod)
            await follower.remove()
            refused |= answer.refused
            if answer.unsigned is None:
                return refused
            signature = key.sign_digest(bytes.fromhex(answer.unsigned))
            signed = [f"--digest={answer.unsigned}", f"--signature={_base64(signature)}"]
        raise InfrastructureError(
            f"the index of {self.settings.store} changes all the time, so it could not be signed",
            hint="run this again when nobody else publishes there",
        )

    async def ask_signer(self, request: SignedRequest, patience: float) -> dict[str, str]:
        """Have the signer that is apart publish; wait at most so many seconds for its answer.

        Returns why some units were not published, by their names.

        Raises:
            InfrastructureError: the signer refuses the request or does not answer.

        """
        words = pack_words(request.data)
        if sum(map(len, words)) > MOST_WORDS:
            raise InfrastructureError(
                "so many units do not fit into one request to the signer through an agent",
                hint="ask for fewer packages at once: name some, or publish run by run with --run",
            )
        follower = await self._run(
            "ask-signer",
            "have the signer publish",
            *(f"--request={request.id}", f"--patience={patience:g}", "--", *words),
        )
        answer = _answer(follower.pod)
        await follower.remove()
        if answer.left_out_count:
            self.tell(left_out_words(answer.left_out, answer.left_out_count))
        return answer.refused

    async def keep_run(self, files: RunFiles, learnt: LearntNeeds) -> None:
        """Keep the journal and the result of the run of the settings; say it if they are too long.

        `learnt` is what its units turned out to need, to be remembered.

        Raises:
            InfrastructureError: no agent could do it.

        """
        words = encode_files(files)
        if not words:
            self.tell(
                f"the journal of run {self.settings.run} is too long to be kept in"
                f" {self.settings.store}: `dag status` and `dag logs` will not tell of it there"
            )
        known = [*_words("--ram", learnt.ram), *_words("--disk", learnt.disk)]
        if not words and not known:
            return
        run = f"--run={self.settings.run}"
        follower = await self._run(
            "keep-run", "keep the files of the run", run, *known, "--", *words
        )
        await follower.remove()

    async def deliver(self, delivery: Delivery) -> None:
        """Bring what the store publishes to a directory here.

        Raises:
            InfrastructureError: no agent could serve it, or it is not what it should be.

        """
        run = secrets.token_hex(8)
        words = (f"--run={run}", f"--port={OUT_PORT}", f"--hold={_HOLD}")

        async def bring(follower: JobFollower) -> None:
            await delivery.bring(self.kube, follower, run)

        follower = await self._run(
            "serve-store", "serve what the store publishes", *words, meanwhile=bring
        )
        await follower.remove()

    async def _run(
        self,
        command: str,
        aim: str,
        *words: str,
        meanwhile: Meanwhile | None = None,
    ) -> JobFollower:
        """Run an agent to its end, and return what has followed it; `aim` says what it is for.

        `meanwhile` is done beside it; what that raises counts more than how the agent ended.
        """
        for left in reversed(range(_TRIES)):
            settings = replace(self.settings, run=f"{self.settings.run}-{secrets.token_hex(3)}")
            name = f"dag-{command}-{settings.run}"
            manifest = agent_job(settings, name, command, [f"--arch={settings.arch.apk}", *words])
            result, follower = await run_job(
                self.kube, manifest, _RULES, self.tell, meanwhile=meanwhile
            )
            ending = result.ending
            if ending.cause is Cause.DONE:
                return follower
            await follower.remove()
            words_of_end = f"the agent could not {aim}: {ending.message}"
            if ending.cause not in TAKEN_AWAY or not left:
                break
            self.tell(f"{words_of_end}; another one tries")
        raise InfrastructureError(words_of_end, hint=ending.hint)


def _more(now: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    """Return what is larger now than it was known to be."""
    return {name: size for name, size in now.items() if size > known.get(name, 0)}


def _words(flag: str, needs: Mapping[str, int]) -> list[str]:
    return [word for name, size in needs.items() for word in (flag, name, str(size))]


def _answer(pod: KubeView) -> PublishAnswer:
    ended = termination(containers(pod).get(AGENT, {})) or {}
    try:
        return decode_published(str(ended.get("message", "")))
    except Undecodable as error:
        raise InfrastructureError(f"the agent's answer cannot be read: {error}") from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_RULES = WatchRules(
    pending_timeout=600.0,
    hopeless_grace=30.0,
    stalled_grace=300.0,
    main=AGENT,
    how_ended=partial(how_agent_ended, AGENT),
    tells_creation=False,
    reads_logs=False,
)
