"""From the flags of `dag pod` to the Pod's manifest: definitions, bundle and images, in that order.

Nothing here speaks to a cluster. `prepare` asks no registry either; `Request.push` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import dag
from dag.core.arch import Arch
from dag.core.build.scripts import MakeVariables, build_script, key_of
from dag.core.image.references import parse_reference
from dag.core.kube.objects import KubeObject
from dag.core.package.apkindex import repository_root
from dag.core.package.makefile import KeyMaker, Makefile
from dag.core.pod.demands import raise_requests
from dag.core.pod.identity import CloudIdentity
from dag.core.pod.manifest import (
    CACHE,
    MOUNTED_KEY,
    PodSettings,
    mounted_key_path,
    pipe_names,
    pipe_path,
    pod,
)
from dag.core.pod.options import PodOptions
from dag.errors import UsageError
from dag.io.graph import git
from dag.io.image.tree import DirectoryTree, definitions_tree
from dag.report.terminal import Terminal
from dag.report.words import count, missing_lines, refusal_lines, stopped_lines
from dag.run.build.keyrings import check_keyrings
from dag.run.graph.selection import Selection, select
from dag.run.pod.bundle import BundleTarget, namespace_of
from dag.run.pod.bundled import BundledFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRequest:
    """One build as it will be posted, a pod for each architecture, and what is pushed for it."""

    namespace: str
    pods: tuple[PodSettings, ...]
    tree: DirectoryTree
    target: BundleTarget

    def manifests(self) -> list[KubeObject]:
        """Return the manifest of each Pod."""
        return [pod(settings) for settings in self.pods]

    def push(self, terminal: Terminal) -> PodRequest:
        """Push the bundle, and return the request with every image named by its digest.

        Raises:
            RegistryError: a registry cannot be reached or refuses, or an image does not exist.

        """
        images = dict.fromkeys(image for one in self.pods for image in one.images())
        digests = self.target.resolve(images)
        request = self.with_bundle(self.target.push(self.tree, terminal))
        return replace(request, pods=tuple(one.with_digests(digests) for one in request.pods))

    def with_identity(self, identity: CloudIdentity | None) -> PodRequest:
        """Return the request with this identity of what moves packages."""
        return replace(self, pods=tuple(replace(one, identity=identity) for one in self.pods))

    def with_bundle(self, bundle: str) -> PodRequest:
        """Return the request with this bundle."""
        return replace(self, pods=tuple(replace(settings, bundle=bundle) for settings in self.pods))


def prepare(options: PodOptions, terminal: Terminal) -> PodRequest:
    """Read the directory, select what is made, and describe the build.

    The bundle is named by its content, images as they were given, until `Request.push`.

    Raises:
        UsageError: something that was asked for is wrong.

    """
    directory = Path(options.directory)
    target = BundleTarget.of(options)
    namespace = namespace_of(options, terminal)
    run = os.urandom(5).hex()
    selections = {arch: select(options, arch, terminal.say_once) for arch in options.arch}
    for arch, selection in selections.items():
        _tell_selection(selection, options, arch, terminal)
    raised = {
        arch: raise_requests(options, selection.packages) for arch, selection in selections.items()
    }
    for note in dict.fromkeys(one.note for one in raised.values() if one.note):
        terminal.say(note)
    for note in _makefile_notes(next(iter(selections.values())).makefile, options):
        terminal.say(note)
    tree = definitions_tree(directory, include=options.include)
    for note in tree.notes():
        terminal.say(note)
    _require_bundled(tree, options, selections)
    for one in options.pipeline_dirs:
        if not Path(one).resolve().is_relative_to(directory.resolve()):
            terminal.say(
                f"{one} is not in {directory}: the pod's melange does without its pipelines"
            )
    epoch = git.source_date_epoch(directory)
    if epoch is None:
        terminal.say(f"{directory} has no git history: SOURCE_DATE_EPOCH is 0")
    digested, agent = target.digest(tree)
    if not options.push:
        terminal.say(f"nothing is pushed: tags stay tags, the bundle is {digested.content}")
        if agent.digest is None:
            terminal.say(
                "this machine has not made the agent's image yet, so the bundle has no digest: it is"
                f" named by the tag {parse_reference(digested.reference).tag}"
            )
    common = _CommonSettings(namespace=namespace, run=run, epoch=epoch or 0)
    request = PodRequest(
        namespace=namespace,
        pods=tuple(
            _settings(raised[arch].options, common, arch, selection)
            for arch, selection in selections.items()
            if selection.targets
        ),
        tree=tree,
        target=target,
    )
    return request.with_bundle(target.known_as(digested.reference))


def _require_bundled(
    tree: DirectoryTree, options: PodOptions, selections: Mapping[Arch, Selection]
) -> None:
    """Refuse a build whose pod would not have what flags name, or what it builds.

    Raises:
        UsageError: something is not inside of the directory, or is left out of the bundle.

    """
    if not any(selection.targets for selection in selections.values()):
        return  # no pod is made
    directory = Path(options.directory)
    bundled = BundledFiles.of(tree, directory)
    for one in (*map(repository_root, options.repositories), *options.keyrings):
        _path_in_pod(directory, one)
    for one in options.repositories:
        bundled.require_repository(one, options.arch)
    for one in options.keyrings:
        bundled.require_keyring(one)
    for one in _pipelines_in_pod(directory, options.pipeline_dirs):
        bundled.require_pipelines(os.fspath(directory / one))
    for selection in selections.values():
        for package in selection.packages:
            file = directory / package.file
            bundled.require(file, f"the build of {package.name}", file)


def _makefile_notes(makefile: Makefile, options: PodOptions) -> Iterator[str]:
    """Yield in words what the build will meet because of the Makefile's rules."""
    ours = ("KEY", "MELANGE_EXTRA_OPTS") if options.secret_key else ("MELANGE_EXTRA_OPTS",)
    yield from makefile.notes(*ours)
    if options.secret_key:
        if note := makefile.foreign_key_note("--secret-key"):
            yield note
    elif makefile.key_maker is KeyMaker.MELANGE:
        key = key_of(options.make_vars, makefile.key)
        yield f"the Makefile has no rule for its key, so the pod makes {key} with melange keygen"


def _tell_selection(
    selection: Selection, options: PodOptions, arch: Arch, terminal: Terminal
) -> None:
    number = len(selection.packages)
    left_out = f"; {selection.left_out} more are in a repository" if selection.left_out else ""
    terminal.say(f"{number} package{'' if number == 1 else 's'} to make for {arch}{left_out}")
    if selection.missing:
        terminal.say(
            f"because of cycles {count(selection.missing, 'need')} will not be built in time: a"
            " repository must have what is needed, see `dag cycles`"
        )
    for line in missing_lines(
        selection.external,
        selection.names,
        others=bool(options.repositories or selection.repositories.own),
        verbose=options.verbose,
        there=selection.there,
        remarks=selection.repositories.remarks(selection.external),
    ):
        terminal.say(line)
    for line in refusal_lines(selection.refusals, verbose=options.verbose):
        terminal.say(line)
    for line in stopped_lines(selection.stopped, selection.causes, verbose=options.verbose):
        terminal.say(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CommonSettings:
    """The settings that the Pods of all architectures have in common."""

    namespace: str
    run: str
    epoch: int
    """The time of the last commit, in seconds since 1970."""


def _settings(
    options: PodOptions, common: _CommonSettings, arch: Arch, selection: Selection
) -> PodSettings:
    directory = Path(options.directory)
    makefile = selection.makefile
    if options.key_name is None:
        key = key_of(options.make_vars, makefile.key)
        # A mounted one may be among the keyrings by right.
        own = f"{PurePosixPath(key).name}.pub"
        check_keyrings(options.keyrings, own, None, flags="--secret-key with --signing-key-name")
    else:
        key = mounted_key_path(options.key_name)
    variables = MakeVariables(
        arch=arch,
        source_date_epoch=common.epoch,
        cache_dir=CACHE,
        key=key,
        repositories=[
            _path_in_pod(directory, repository_root(one)) for one in options.repositories
        ],
        keyrings=[_path_in_pod(directory, item) for item in options.keyrings],
        pipeline_dirs=_pipelines_in_pod(directory, options.pipeline_dirs),
        build_options=options.build_options,
        melange_flags=selection.definitions.melange_words,
        files=makefile.variables(selection.packages),
        more=options.make_vars,
    )
    script = build_script(
        variables,
        key_maker=makefile.key_maker,
        makefile=makefile.built_in,
        keep_going=options.keep_going,
        mounted_key=MOUNTED_KEY if options.secret_key else None,
        confined=options.confined,
        hermetic=options.hermetic,
        trust_steps=options.trust_steps,
        check_steps=True,
        check_path=bool(makefile.own_calls),
        pipes=[pipe_path(name) for name in pipe_names(options)],
    )
    return PodSettings(
        options=options,
        namespace=common.namespace,
        run=common.run,
        arch=arch,
        bundle="",
        script=script,
        targets=selection.targets,
        wanted=_package_files(selection) if options.src_bucket else (),
        version=dag.__version__,
        key=key,
    )


def _package_files(selection: Selection) -> list[str]:
    """Return the names of the files of the packages that are selected, with their subpackages."""
    return [
        f"{name}-{package.full_version}.apk"
        for package in selection.packages
        for name in package.promised
    ]


def _path_in_pod(directory: Path, item: str) -> str:
    """Return the place of a repository or a key as the pod sees it, relative to the workspace."""
    if item.startswith(("https://", "http://")):
        return item
    root = directory.resolve()
    path = Path(item)
    if not path.exists():
        raise UsageError(
            f"{item}: there is nothing of that name", hint="a path is relative to where dag runs"
        )
    try:
        return f"./{path.resolve().relative_to(root)}"
    except ValueError:
        raise UsageError(
            f"{item} is not inside {directory}, so the pod would not have it",
            hint="move it there, or serve it over http(s)",
        ) from None


def _pipelines_in_pod(directory: Path, given: Iterable[str]) -> list[str]:
    """Return the directories of pipelines that are in the bundle, as the pod sees them."""
    root = directory.resolve()
    paths = (Path(one).resolve() for one in given)
    return [f"./{path.relative_to(root)}" for path in paths if path.is_relative_to(root)]
