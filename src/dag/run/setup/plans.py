"""From the flags of `dag setup` to the plan: what needs gcloud, a file or an image's name."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from dag.core.jobs.stores import store_on_cluster
from dag.core.pod.pieces import proxy_variables
from dag.core.setup.cluster import BUILD_NAMESPACE, GKE_DRIVER, ClusterSettings, cluster_plan
from dag.core.setup.gke import GkeSettings, gke_plan
from dag.core.setup.kind import KindSettings, kind_plan
from dag.core.setup.options import BuilderOptions, ExistingOptions, GkeOptions, KindOptions
from dag.core.setup.signer import SIGNER_NAMESPACE, SignerSettings, signer_plan
from dag.core.setup.signeroptions import SignerSetupOptions
from dag.core.setup.steps import SetupPlan
from dag.errors import UsageError
from dag.io.gcloud import current_project
from dag.io.image.bundle import BUSYBOX
from dag.io.kube.contexts import choose_context
from dag.io.package.keypairs import public_half, public_key_text, require_key
from dag.io.package.signing import make_key
from dag.io.store.ownkey import engine_key


def plan_gke(options: GkeOptions) -> SetupPlan:
    """Plan a cluster on Google Kubernetes Engine.

    Raises:
        UsageError: there is no project or no one place, or the key is none.

    """
    if (options.zone is None) == (options.region is None):
        raise UsageError(
            "nothing says where the cluster is to be, or two flags do",
            hint="give either --zone, like europe-west4-a, or --region",
        )
    place = f"--zone={options.zone}" if options.zone else f"--region={options.region}"
    if options.signing_key is not None:
        key = Path(options.signing_key)
        if not key.is_fifo():  # gcloud reads one, and it can be read only once
            require_key(key)
    project = options.project or current_project()
    if project is None:
        raise UsageError(
            "nothing names a project of Google Cloud",
            hint="give --project, or `gcloud config set project`",
        )
    # Google's own driver comes with the cluster.
    fetched = options.csi_driver != GKE_DRIVER
    inside = replace(
        _builds(options),
        project=project,
        secret_key=options.secret_key or options.signing_key is not None,
        csi_driver=options.csi_driver,
        manifests=options.manifests.rstrip("/") if fetched else None,
        arm=options.arm,
        pending_timeout=options.pending_timeout,
    )
    plan = gke_plan(
        GkeSettings(
            project=project,
            location=place,
            cluster=options.cluster,
            max_cpu=options.max_cpu,
            max_memory=options.max_memory,
            arm_machine=options.arm_machine,
            bucket=options.bucket,
            src_bucket=options.src_bucket,
            signing_key=options.signing_key,
            inside=inside,
        )
    )
    return replace(plan, kubeconfig=options.kubeconfig)


def plan_kind(options: KindOptions) -> SetupPlan:
    """Plan a cluster in containers on this machine.

    Raises:
        UsageError: a name is none that kind and docker take.

    """
    plan = kind_plan(
        KindSettings(
            cluster=options.cluster,
            registry=options.registry,
            port=options.port,
            registry_image=options.registry_image,
            inside=_builds(options),
        )
    )
    return replace(plan, kubeconfig=options.kubeconfig)


def plan_existing(options: ExistingOptions) -> SetupPlan:
    """Plan what a cluster that is there lacks.

    The context is the one that is current at this moment, unless it is named: every step, and the
    script, then says this name.

    Raises:
        UsageError: no context is named, and the kubeconfig has no current one, or mistakes.
        InfrastructureError: no context is named, and no cluster is configured.

    """
    context = options.context or choose_context(options.kubeconfig, None).name
    settings = replace(
        _builds(options),
        project=options.project,
        annotations={one.key: one.value for one in options.annotations},
        secret_key=options.secret_key,
        csi_driver=options.csi_driver,
        arm=options.arm,
        pending_timeout=options.pending_timeout,
    )
    return replace(cluster_plan(settings), context=context, kubeconfig=options.kubeconfig)


def plan_signer(options: SignerSetupOptions) -> SetupPlan:
    """Plan a signer that is apart. It trusts whoever builds on this machine, whose key is made for that.

    Raises:
        UsageError: a key is none, the store is none that pods reach, or two flags exclude each other.
        InfrastructureError: no cluster is configured, or the engine's key cannot be kept.

    """
    options.check()
    store = store_on_cluster(options.store, options.bucket_secret)
    key = None if options.signing_key is None else Path(options.signing_key)
    if key is not None:
        require_key(key, for_melange=False)
    name = options.signing_key_name or (key.name.removesuffix(".rsa") if key else "")
    mine = engine_key(make_key)
    given = [public_half(mine), *map(Path, options.engine_keys)]
    settings = SignerSettings(
        namespace=options.signer_namespace or SIGNER_NAMESPACE,
        is_proposed=options.signer_namespace is None,
        store=store,
        image=options.agent_image,
        public_name=f"{name}.rsa.pub",
        key_file=options.signing_key,
        secret_class=options.secret_class,
        csi_driver=options.csi_driver,
        engines=dict(_engine(path) for path in given),
        replaces_engines=options.replaces_engines,
        trusts_store=options.trusts_store,
        schedule=options.schedule,
        builds=options.namespace or BUILD_NAMESPACE,
        service_account=options.service_account,
        users=options.users,
        annotations={one.key: one.value for one in options.annotations},
        bucket_secret=options.bucket_secret,
        reached=options.reached,
        proxies=proxy_variables(options),
        node=options.node_arch,
        scheduling=options,
        pending_timeout=options.pending_timeout,
    )
    context = options.context or choose_context(options.kubeconfig, None).name
    return replace(signer_plan(settings), context=context, kubeconfig=options.kubeconfig)


def _engine(path: Path) -> tuple[str, str]:
    """Return the public half of an engine's key, with a name that no other has."""
    text = public_key_text(path)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.pub", text


def _builds(options: BuilderOptions) -> ClusterSettings:
    return ClusterSettings(
        namespace=options.namespace or BUILD_NAMESPACE,
        is_proposed=options.namespace is None,
        service_account=options.service_account,
        users=options.users,
        groups=options.groups,
        closes_network=options.closes_network,
        reached=options.reached,
        binfmt=options.binfmt,
        binfmt_image=options.binfmt_image,
        busybox=options.bundle_base or BUSYBOX,
    )
