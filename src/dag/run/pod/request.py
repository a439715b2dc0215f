"""From the flags of `dag pod` to the Pod's manifest: definitions, bundle and images, in that order.

Nothing here speaks to a cluster. `prepare` asks no registry either; `Request.push` does.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.scripts import KEY, MakeVariables, build_script
from dag.core.image.references import parse_reference, parse_repository
from dag.core.kube.objects import KubeObject
from dag.core.package.apkindex import repository_root
from dag.core.pod.manifest import CACHE, MOUNTED_KEY, PodSettings, key_path, pod
from dag.core.store.buckets import DEFAULT_IMAGE, Bucket
from dag.errors import UsageError
from dag.io import gcloud
from dag.io.graph import git
from dag.io.image.bundle import DEFAULT_BASE, Pushed, digest_bundle, push_bundle
from dag.io.image.tree import DirectoryTree, definitions_tree
from dag.report.terminal import Terminal
from dag.report.words import count, missing_lines
from dag.run.build.keyrings import check_keyrings
from dag.run.graph.selection import Selection, select


@dataclass(frozen=True, kw_only=True, slots=True)
class PodOptions:
    """The flags of `dag pod`, as given; durations in seconds."""

    packages: tuple[str, ...]
    directory: str
    arch: tuple[Arch, ...]
    node_arch: Arch | None
    pipeline_dirs: tuple[str, ...]
    build_options: tuple[str, ...]
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
    hermetic: bool
    keep_going: bool
    make_vars: tuple[str, ...]
    target_template: str | None
    isolation: str
    bucket: str | None
    src_bucket: str | None
    bucket_secret: str | None
    transfer_image: str | None
    secret_key: bool
    signing_key_name: str
    csi_driver: str
    verbose: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRequest:
    """One build as it will be posted, a pod for each architecture, and what is pushed for it."""

    pods: tuple[PodSettings, ...]
    tree: DirectoryTree
    repository: str
    base: str
    insecure: bool
    pull_repository: str | None

    def manifests(self) -> list[KubeObject]:
        """Describe the Pods."""
        return [pod(settings) for settings in self.pods]

    def push(self, terminal: Terminal) -> PodRequest:
        """Push the bundle and pin every image by digest; answers the request that names them.

        Raises:
            RegistryError: a registry cannot be reached or refuses, or an image does not exist.

        """
        from dag.io.image.registry.repository import (
            resolve,  # the HTTP stack, which a dry run does without
        )

        # One look at each tag, whatever happens to it meanwhile: all pods get the same. And before
        # anything is sent, because a name may be wrong.
        digests = {
            image: resolve(image, insecure=self.insecure)
            for image in dict.fromkeys(image for one in self.pods for image in one.images())
        }
        pushed = push_bundle(
            self.repository,
            self.tree.entries,
            base=self.base,
            insecure=self.insecure,
            progress=terminal.say,
        )
        terminal.say(f"bundle {pushed.reference}: {pushed.bytes_uploaded:,} bytes sent")
        bundled = self.bundled_as(pushed)
        return replace(bundled, pods=tuple(one.pinned(digests) for one in bundled.pods))

    def bundled_as(self, bundle: Pushed) -> PodRequest:
        """Name the bundle, by the name that nodes know its repository by."""
        reference = parse_reference(bundle.reference)
        if self.pull_repository is not None:
            known = parse_repository(self.pull_repository)
            reference = replace(reference, host=known.host, repository=known.repository)
        pods = tuple(replace(settings, bundle=str(reference)) for settings in self.pods)
        return replace(self, pods=pods)


def prepare(chosen: PodOptions, terminal: Terminal) -> PodRequest:
    """Read the directory, select what is made, and describe the build.

    The bundle is named by its content, images as they were given, until `Request.push`.

    Raises:
        UsageError: something that was asked for is wrong.

    """
    directory = Path(chosen.directory)
    repository = bundle_repository(chosen)
    run = secrets.token_hex(5)
    selections = {arch: _select(chosen, arch, terminal) for arch in chosen.arch}
    ours = ("KEY", "MELANGE_EXTRA_OPTS") if chosen.secret_key else ("MELANGE_EXTRA_OPTS",)
    for note in next(iter(selections.values())).makefile.notes(*ours):
        terminal.say(note)
    tree = definitions_tree(directory, include=chosen.include)
    for note in tree.notes():
        terminal.say(note)
    for one in chosen.pipeline_dirs:
        if not Path(one).resolve().is_relative_to(directory.resolve()):
            terminal.say(
                f"{one} is not in {directory}: the pod's melange does without its pipelines"
            )
    epoch = git.source_date_epoch(directory)
    if epoch is None:
        terminal.say(f"{directory} has no git history: SOURCE_DATE_EPOCH is 0")
    base = chosen.bundle_base or DEFAULT_BASE
    digested = digest_bundle(repository, tree.entries, base=base)
    if not chosen.push:
        terminal.say(f"nothing is pushed: tags stay tags, the bundle is {digested.content}")
    request = PodRequest(
        pods=tuple(
            _settings(chosen, run, arch, selection, epoch or 0)
            for arch, selection in selections.items()
            if selection.targets
        ),
        tree=tree,
        repository=repository,
        base=base,
        insecure=chosen.insecure_registry,
        pull_repository=chosen.pull_repo,
    )
    return request.bundled_as(digested)


def _select(chosen: PodOptions, arch: Arch, terminal: Terminal) -> Selection:
    selection = select(
        Path(chosen.directory),
        chosen.packages,
        arch=arch,
        pipeline_dirs=[Path(path) for path in chosen.pipeline_dirs],
        build_options=chosen.build_options,
        repositories=chosen.repositories,
        only=chosen.only,
        template=chosen.target_template,
    )
    number = len(selection.packages)
    left_out = f"; {selection.left_out} more are in a repository" if selection.left_out else ""
    terminal.say(f"{number} package{'' if number == 1 else 's'} to make for {arch}{left_out}")
    if selection.missing:
        terminal.say(
            f"because of cycles {count(selection.missing, 'need')} will not be built in time: a"
            " repository must have what is needed, see `dag cycles`"
        )
    for line in missing_lines(
        selection.external, others=bool(chosen.repositories), verbose=chosen.verbose
    ):
        terminal.say(line)
    return selection


def _settings(
    chosen: PodOptions, run: str, arch: Arch, selection: Selection, epoch: int
) -> PodSettings:
    directory = Path(chosen.directory)
    source = Bucket.parse(chosen.src_bucket) if chosen.src_bucket else None
    target = Bucket.parse(chosen.bucket) if chosen.bucket else None
    key_name = _key_name(chosen.signing_key_name) if chosen.secret_key else None
    if not chosen.secret_key:  # that one may be among the keyrings by right
        check_keyrings(chosen.keyrings, f"{KEY}.pub", None)
    variables = MakeVariables(
        arch=arch,
        source_date_epoch=epoch,
        cache_dir=CACHE,
        key=key_path(key_name),
        repositories=[_inside(directory, repository_root(one)) for one in chosen.repositories],
        keyrings=[_inside(directory, item) for item in chosen.keyrings],
        pipeline_dirs=_known_pipelines(directory, chosen.pipeline_dirs),
        build_options=chosen.build_options,
        more=chosen.make_vars,
    )
    script = build_script(
        variables,
        has_key_rule=selection.makefile.has_key,
        keep_going=chosen.keep_going,
        mounted_key=MOUNTED_KEY if chosen.secret_key else None,
        confined=chosen.isolation == "userns",
        hermetic=chosen.hermetic,
        announce_end=chosen.out is not None or target is not None,
        merge_index=target is not None,
    )
    return PodSettings(
        run=run,
        namespace=chosen.namespace,
        arch=arch,
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
        transfer_image=chosen.transfer_image or DEFAULT_IMAGE,
        source=source,
        wanted=_files(selection) if source else (),
        target=target,
        bucket_secret=chosen.bucket_secret,
        key_name=key_name,
        csi_driver=chosen.csi_driver,
        confined=chosen.isolation == "userns",
        node_arch=chosen.node_arch,
    )


def _files(selection: Selection) -> list[str]:
    """Name the files of the packages that are selected, subpackages with them."""
    return [
        f"{name}-{package.full_version}.apk"
        for package in selection.packages
        for name in package.promised
    ]


def _key_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", name):
        raise UsageError(
            f"--signing-key-name {name!r} is no name of a file",
            hint="it is the base name, without .rsa, like wolfi-signing",
        )
    return name


def bundle_repository(chosen: PodOptions) -> str:
    """Find where the bundle goes.

    Raises:
        UsageError: nothing says where.

    """
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


def _known_pipelines(directory: Path, given: Iterable[str]) -> list[str]:
    """Name the directories of pipelines that are in the bundle, as the pod sees them."""
    root = directory.resolve()
    paths = (Path(one).resolve() for one in given)
    return [f"./{path.relative_to(root)}" for path in paths if path.is_relative_to(root)]


def _version() -> str:
    try:
        return version("melange-dag")
    except PackageNotFoundError:
        return "unreleased"
