"""From the flags of `dag pod` to the Pod's manifest: definitions, bundle and images, in that order.

Nothing here speaks to a cluster. `prepare` asks no registry either; `Request.push` does.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dag.core.arch import Arch
from dag.core.manifests import CACHE, Manifest, PodSettings, pod
from dag.core.references import parse, parse_repository
from dag.core.scripts import MakeVariables, build_script
from dag.errors import UsageError
from dag.io import gcloud, git
from dag.io.bundle import DEFAULT_BASE, Pushed, digest_bundle, push_bundle
from dag.io.registry import resolve
from dag.io.tree import Tree, definitions_tree
from dag.report.terminal import Terminal
from dag.run.selection import select


@dataclass(frozen=True, kw_only=True, slots=True)
class PodOptions:
    """The flags of `dag pod`, as given; durations in seconds."""

    packages: tuple[str, ...]
    directory: str
    arch: Arch
    pipeline_dirs: tuple[str, ...]
    only: bool
    repositories: tuple[str, ...]
    keyrings: tuple[str, ...]
    bundle_repo: str | None
    project: str | None
    pull_repo: str | None
    bundle_base: str | None
    include: tuple[str, ...]
    insecure_registry: bool
    push: bool
    create: bool
    watch: bool
    namespace: str
    context: str | None
    kubeconfig: str | None
    cpu: str
    ram: str
    disk: str
    service_account: str
    pending_timeout: float
    timeout: float | None
    out: str | None
    sdk_image: str
    cache_bundle: str | None
    keep_going: bool
    make_vars: tuple[str, ...]
    target_template: str | None
    isolation: str
    bucket: str | None
    src_bucket: str | None
    secret_key: bool
    verbose: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One build as it will be posted, and what has to be pushed for it."""

    settings: PodSettings
    tree: Tree
    repository: str
    base: str
    insecure: bool
    pull_repository: str | None

    def manifest(self) -> Manifest:
        """Describe the Pod."""
        return pod(self.settings)

    def push(self, terminal: Terminal) -> Request:
        """Push the bundle and pin every image by digest; answers the request that names them.

        Raises:
            RegistryError: a registry cannot be reached or refuses, or an image does not exist.

        """
        pushed = push_bundle(
            self.repository,
            self.tree.entries,
            base=self.base,
            insecure=self.insecure,
            progress=terminal.say,
        )
        terminal.say(f"bundle {pushed.reference}: {pushed.bytes_uploaded:,} bytes sent")
        cache = self.settings.cache_bundle
        return replace(
            self,
            settings=replace(
                self.bundled_as(pushed).settings,
                sdk_image=resolve(self.settings.sdk_image, insecure=self.insecure),
                cache_bundle=resolve(cache, insecure=self.insecure) if cache else None,
            ),
        )

    def bundled_as(self, bundle: Pushed) -> Request:
        """Name the bundle, by the name that nodes know its repository by."""
        reference = parse(bundle.reference)
        if self.pull_repository is not None:
            known = parse_repository(self.pull_repository)
            reference = replace(reference, host=known.host, repository=known.repository)
        return replace(self, settings=replace(self.settings, bundle=str(reference)))


def prepare(chosen: PodOptions, terminal: Terminal) -> Request:
    """Read the directory, select what is made, and describe the build.

    The bundle is named by its content, images as they were given, until `Request.push`.

    Raises:
        UsageError: something that was asked for is wrong.

    """
    directory = Path(chosen.directory)
    repository = _repository(chosen)
    selection = select(
        directory,
        chosen.packages,
        arch=chosen.arch,
        pipeline_dirs=[Path(path) for path in chosen.pipeline_dirs],
        repositories=chosen.repositories,
        only=chosen.only,
        template=chosen.target_template,
    )
    count = len(selection.packages)
    left_out = f"; {selection.left_out} more are in a repository" if selection.left_out else ""
    terminal.say(f"{count} package{'' if count == 1 else 's'} to make for {chosen.arch}{left_out}")
    tree = definitions_tree(directory, include=chosen.include)
    for note in tree.notes():
        terminal.say(note)
    variables = MakeVariables(
        arch=chosen.arch,
        source_date_epoch=_source_date_epoch(directory, terminal),
        cache_dir=CACHE,
        repositories=[_inside(directory, item) for item in chosen.repositories],
        keyrings=[_inside(directory, item) for item in chosen.keyrings],
        more=chosen.make_vars,
    )
    script = build_script(
        variables,
        has_key_rule=selection.makefile.has_key,
        keep_going=chosen.keep_going,
        announce_end=chosen.out is not None,
    )
    base = chosen.bundle_base or DEFAULT_BASE
    digested = digest_bundle(repository, tree.entries, base=base)
    if not chosen.push:
        terminal.say(f"nothing is pushed: tags stay tags, the bundle is {digested.content}")
    request = Request(
        settings=PodSettings(
            run=secrets.token_hex(5),
            namespace=chosen.namespace,
            arch=chosen.arch,
            bundle="",
            sdk_image=chosen.sdk_image,
            script=script,
            targets=selection.targets,
            packages=chosen.packages,
            version=_version(),
            cpu=chosen.cpu,
            ram=chosen.ram,
            disk=chosen.disk,
            service_account=chosen.service_account,
            timeout=chosen.timeout,
            cache_bundle=chosen.cache_bundle,
            out=chosen.out is not None,
        ),
        tree=tree,
        repository=repository,
        base=base,
        insecure=chosen.insecure_registry,
        pull_repository=chosen.pull_repo,
    )
    return request.bundled_as(digested)


def _repository(chosen: PodOptions) -> str:
    if chosen.bundle_repo:
        return chosen.bundle_repo
    project = chosen.project or gcloud.current_project()
    if project:
        return f"gcr.io/{project}/dag"
    raise UsageError(
        "there is no repository for the bundle",
        hint="set --bundle-repo, $REPO or bundle-repo in dag.toml, like registry.example.com/me/dag;"
        " or --project for gcr.io/PROJECT/dag",
    )


def _inside(directory: Path, item: str) -> str:
    """Name a repository or a key as the pod sees it, relative to the workspace."""
    if item.startswith(("https://", "http://")):
        return item
    root = directory.resolve()
    path = Path(item)
    if not path.exists():
        raise UsageError(f"{item}: there is nothing of that name")
    try:
        return f"./{path.resolve().relative_to(root)}"
    except ValueError:
        raise UsageError(
            f"{item} is not inside {directory}, so the pod would not have it",
            hint="move it there, or serve it over http(s)",
        ) from None


def _source_date_epoch(directory: Path, terminal: Terminal) -> int:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        if not given.isdigit():
            raise UsageError(f"$SOURCE_DATE_EPOCH is {given!r}, not a number of seconds since 1970")
        return int(given)
    committed = git.last_commit_time(directory)
    if committed is None:
        terminal.say(f"{directory} has no git history: SOURCE_DATE_EPOCH is 0")
    return committed or 0


def _version() -> str:
    try:
        return version("dag")
    except PackageNotFoundError:
        return "unreleased"
