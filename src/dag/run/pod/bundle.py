"""The bundle of a build in a cluster: where it goes, and under which name nodes find it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dag.core.image.references import Reference, parse_reference, parse_repository
from dag.core.kube.options import NamesNamespace
from dag.core.pod.options import BundleOptions
from dag.errors import UsageError
from dag.io.image.bundle import Pushed, digest_bundle, push_bundle
from dag.io.image.tree import DirectoryTree
from dag.io.kube.contexts import find_namespace
from dag.report.terminal import Terminal
from dag.run.image.agent import AgentChoice

# Old projects of an organization have its domain before a colon, which is a folder of the registry.
# https://cloud.google.com/container-registry/docs/overview#domain-scoped_projects
_PROJECT = re.compile(r"(?:[a-z0-9][a-z0-9.-]*:)?[a-z][a-z0-9-]{2,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleTarget:
    """The registry that bundles are pushed to, and what is below them."""

    repository: str
    agent: AgentChoice
    insecure: bool
    pull_repository: str | None
    """The name by which nodes know the repository, if that is another one."""

    @classmethod
    def of(cls, options: BundleOptions) -> BundleTarget:
        """Return what the flags say.

        Raises:
            UsageError: nothing says which repository.

        """
        return cls(
            repository=bundle_repository(options),
            agent=AgentChoice(agent=options.agent_image, base=options.bundle_base),
            insecure=options.insecure_registry,
            pull_repository=options.pull_repo,
        )

    def digest(self, tree: DirectoryTree) -> tuple[Pushed, Reference]:
        """Return what the bundle will be called and the image below it, without any registry."""
        agent = self.agent.known(self.repository)
        return digest_bundle(self.repository, tree.entries, base=str(agent)), agent

    def resolve(self, images: Iterable[str]) -> dict[str, str]:
        """Return the name by digest of each image: one look at each tag, whatever happens to it.

        Raises:
            RegistryError: a registry cannot be reached or refuses, or an image does not exist.

        """
        # The HTTP stack, which a dry run does without.
        from dag.io.image.registry.repository import resolve

        return {image: resolve(image, insecure=self.insecure) for image in images}

    def push(self, tree: DirectoryTree, terminal: Terminal) -> str:
        """Push the agent's image and the bundle; return the name by which nodes know that.

        Raises:
            RegistryError: a registry cannot be reached or refuses.

        """
        agent = self._push_agent(terminal)
        pushed = push_bundle(
            self.repository,
            tree.entries,
            base=str(agent),
            insecure=self.insecure,
            progress=terminal.say,
        )
        terminal.say(f"bundle {pushed.reference}: {pushed.bytes_uploaded:,} bytes sent")
        return self.known_as(pushed.reference)

    def push_agent(self, terminal: Terminal) -> str:
        """Push the agent's image; return the name by which nodes know that.

        Raises:
            RegistryError: a registry cannot be reached or refuses.

        """
        return self.known_as(str(self._push_agent(terminal)))

    def _push_agent(self, terminal: Terminal) -> Reference:
        return self.agent.push(self.repository, insecure=self.insecure, tell=terminal.say)

    def known_as(self, bundle: str) -> str:
        """Return the name by which nodes know a bundle."""
        reference = parse_reference(bundle)
        if self.pull_repository is not None:
            known = parse_repository(self.pull_repository)
            reference = replace(reference, host=known.host, repository=known.repository)
        return str(reference)


def namespace_of(options: NamesNamespace, terminal: Terminal | None = None) -> str:
    """Return the namespace of the flags, else that of the context; no cluster is asked.

    Raises:
        UsageError: a kubeconfig cannot be read, or has no such context.

    """
    if options.namespace is not None:
        return options.namespace
    found = find_namespace(options.kubeconfig, options.context)
    if terminal is not None:
        tell = terminal.say if found.is_guess else terminal.detail
        tell(f"the namespace is {found.name}, {found.reason}")
    return found.name


def bundle_repository(options: BundleOptions) -> str:
    """Return the repository that the bundle goes to.

    Raises:
        UsageError: nothing says where.

    """
    if options.bundle_repo:
        return options.bundle_repo
    from dag.io.gcloud import current_project

    project = options.project or current_project()
    if project:
        if not _PROJECT.fullmatch(project):
            raise UsageError(
                f"{project!r} is no project of Google Cloud, so there is no repository for the bundle",
                hint="--project, $PROJECT or project in dag.toml names one, like my-project;"
                " --bundle-repo and $REPO name a repository anywhere",
            )
        return f"gcr.io/{project.replace(':', '/')}/dag"
    raise UsageError(
        "there is no repository for the bundle",
        hint="set --bundle-repo, $REPO or bundle-repo in dag.toml, like registry.example.com/me/dag;"
        " or --project for gcr.io/PROJECT/dag",
    )
