"""The flags that describe a build in a Pod: `dag pod` follows them, `dag doctor` examines them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dag.cli import options
from dag.cli.options import option, switch
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.run.pod.request import PodOptions

F = TypeVar("F", bound=Callable[..., Any])

SDK_IMAGE = "ghcr.io/wolfi-dev/sdk:latest"

_FLAGS: tuple[Callable[[Any], Any], ...] = (
    click.argument("packages", nargs=-1, metavar="[PKG]..."),
    options.directory,
    options.archs,
    option(
        "--node-arch",
        type=options.ArchType(),
        help="Architecture of the nodes, if they emulate that of --arch.  [default: the same]",
    ),
    options.pipeline_dirs,
    options.build_options,
    options.only,
    options.repositories,
    options.keyrings,
    option("--bundle-repo", env="REPO", help="Repository for the bundle's image."),
    option("--project", env="PROJECT", help="GCP project, for gcr.io/PROJECT/dag."),
    option("--pull-repo", help="The bundle's repository as nodes know it, if by another name."),
    option("--bundle-base", help="Base image of the bundle; must have sh and cp."),
    option("--include", multiple=True, metavar="PATH", help="Bundle this although left out."),
    switch("insecure-registry", default=False, help="Speak plain http to the registry."),
    switch("push", default=True, help="Push the bundle; without, it is only digested."),
    switch("create", default=True, help="Create the Pod; without, its YAML is printed."),
    switch("watch", "-w", default=True, help="Follow the Pod; without, its name is printed."),
    option(
        "-n",
        "--namespace",
        type=options.NameType(),
        default="default",
        help="Namespace of the Pod.",
    ),
    option("--context", help="Context of the kubeconfig."),
    option("--kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig file."),
    option("--cpu", type=options.QuantityType(), default="1", help="CPUs the build asks for."),
    option("--ram", type=options.QuantityType(), default="2Gi", help="Memory the build asks for."),
    option("--disk", type=options.QuantityType(), default="1Gi", help="Disk the build asks for."),
    option(
        "--service-account",
        type=options.NameType(),
        default="default",
        help="Service account of the Pod.",
    ),
    option(
        "--pending-timeout",
        type=options.DurationType(),
        default="5m",
        help="How long nothing may run before the build starts.",
    ),
    option("--timeout", type=options.DurationType(), help="How long the Pod may take in all."),
    option("--out", type=click.Path(file_okay=False), help="Bring the built packages back here."),
    option("--sdk-image", default=SDK_IMAGE, help="Image that builds: make, melange, bubblewrap."),
    option("--cache-bundle", help="Image by digest with the sources, as `dag cache` pushes it."),
    switch("hermetic", default=False, help="Steps of the build have no network."),
    switch("keep-going", default=False, help="Go on after a failure (make -k)."),
    options.make_vars,
    options.target_template,
    option(
        "--isolation",
        type=click.Choice(["privileged", "userns"]),
        default="privileged",
        help="How the build is kept from its node.",
    ),
    option("--bucket", metavar="gs://…|s3://…", help="Upload the packages here, however it ended."),
    option(
        "--src-bucket", metavar="gs://…|s3://…", help="Take what this bucket has already built."
    ),
    option(
        "--bucket-secret",
        help="Secret with the variables that rclone needs, where the pod's own identity will not do.",
    ),
    option("--transfer-image", help="Image with rclone.  [default: the official one, by digest]"),
    switch("secret-key", default=False, help="Sign with the key that the CSI driver mounts."),
    option("--signing-key-name", default="wolfi-signing", help="Base name of that key."),
    option("--csi-driver", default="secrets-store.csi.k8s.io", help="The driver that mounts it."),
    options.verbose,
)


def pod_flags(function: F) -> F:
    """Declare them all; their names are those of `PodOptions`."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def check_flags(chosen: PodOptions) -> None:
    """Refuse what makes no sense together.

    Raises:
        UsageError: two flags exclude each other.

    """
    if chosen.create and not chosen.push:
        raise UsageError(
            "--push=false needs --create=false: nodes could not pull a bundle that nobody pushed"
        )
    if chosen.out and not chosen.watch:
        raise UsageError("--out needs --watch: somebody has to fetch the packages")
    if chosen.bucket_secret and not (chosen.bucket or chosen.src_bucket):
        raise UsageError("--bucket-secret is of no use without --bucket or --src-bucket")
