"""Asks registries for the images of a build, and whether they take the bundle from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from dag.core.arch import Arch
from dag.core.doctor import checks as doctor
from dag.core.doctor.checks import Finding, ok, skipped
from dag.core.doctor.options import DoctorOptions
from dag.core.image.agent import default_base
from dag.core.image.references import Reference, parse_reference, parse_repository
from dag.io.image.bundle import Pushed, push_bundle
from dag.io.image.platforms import read_platforms
from dag.io.image.registry.refusals import Refused, RegistryError
from dag.io.image.registry.repository import ImageRepository
from dag.io.image.registry.requests import RegistryTransport
from dag.report.terminal import Terminal
from dag.run.aside import aside
from dag.run.image.agent import AgentChoice
from dag.run.pod.access import Unreadable
from dag.run.pod.bundle import bundle_repository
from dag.run.pod.examination import Check

T = TypeVar("T")


class ImageChecks:
    """The checks of images and of the bundle's repository; each method makes one."""

    def __init__(self, chosen: DoctorOptions, terminal: Terminal) -> None:
        """Take the flags; `probe` of them is leave to push the image that probes run."""
        self._chosen = chosen
        self._terminal = terminal
        self.repository = ""
        """Where the bundle goes, once `find_repository` has found that."""
        self.pushed: Pushed | None = None
        """The image of probes, once it is there."""

    def checks(self) -> Iterator[Check]:
        """Yield those of the images; `repository` comes before them."""
        for name, flag, reference in self._images():
            yield Check(name, (), partial(self._image, flag, reference))
        yield Check("push", ("repository",), self._push)
        yield Check("probe image", ("push", "bundle base"), self._push_probe)

    def _images(self) -> Iterator[tuple[str, str, str]]:
        chosen = self._chosen
        yield "sdk image", "--sdk-image", chosen.sdk_image
        if chosen.agent_image:
            yield "bundle base", "--agent-image", chosen.agent_image
        else:
            yield "bundle base", "--bundle-base", chosen.bundle_base or default_base()
        if chosen.cache_bundle:
            yield "cache bundle", "--cache-bundle", chosen.cache_bundle

    async def find_repository(self) -> Finding:
        """Find out where the bundle goes."""
        self.repository = await aside(partial(bundle_repository, self._chosen))
        parse_repository(self.repository)
        pull = self._chosen.pull_repo
        if pull is None:
            return ok(f"the bundle goes to {self.repository}")
        parse_repository(pull)
        return ok(f"the bundle goes to {self.repository}, which nodes know as {pull}")

    async def _image(self, flag: str, reference: str) -> Finding:
        image = parse_reference(reference)
        try:
            found = await self.platforms(image)
        except RegistryError as error:
            # It may be nobody's choice, but the default.
            elsewhere = f"name an image elsewhere with {flag}"
            error.hint = f"{error.hint}; or {elsewhere}" if error.hint else elsewhere
            # Only a tag, and the base, are asked for from here; a digest is for nodes to find.
            if (
                image.digest is None
                or flag in ("--bundle-base", "--agent-image")
                or isinstance(error, Refused)
            ):
                raise
            raise Unreadable(error.message, hint=error.hint) from error
        node = self._chosen.node_arch
        archs: Sequence[Arch] = (node,) if node else self._chosen.arch
        return doctor.image(reference, found, archs, flag)

    async def _push(self) -> Finding:
        chosen = self._chosen
        if not chosen.push:
            return skipped("--push=false")
        target = parse_repository(self.repository)

        def push(way: RegistryTransport) -> str:
            repository = ImageRepository(way, target.repository, writes=True)
            repository.check_push()
            return repository.credentials()

        credentials = await self._ask(target.host, push)
        return ok(f"{self.repository} takes images from here ({credentials})")

    async def _push_probe(self) -> Finding:
        chosen = self._chosen
        if not chosen.probe:
            return skipped("--probe=false")
        insecure = chosen.insecure_registry
        choice = AgentChoice(agent=chosen.agent_image, base=chosen.bundle_base)
        agent = await aside(
            partial(choice.push, self.repository, insecure=insecure, tell=self._terminal.detail)
        )
        self.pushed = pushed = await aside(
            partial(push_bundle, self.repository, (), base=str(agent), insecure=insecure)
        )
        return ok(f"{pushed.reference} is there ({pushed.bytes_uploaded:,} bytes sent)")

    async def platforms(self, image: Reference) -> dict[str, str]:
        """Return the digest of an image for each of its platforms."""
        return await self._ask(
            image.host, lambda way: read_platforms(ImageRepository(way, image.repository), image)
        )

    async def _ask(self, host: str, question: Callable[[RegistryTransport], T]) -> T:
        def answer() -> T:
            with RegistryTransport(host, insecure=self._chosen.insecure_registry) as way:
                return question(way)

        return await aside(answer)
