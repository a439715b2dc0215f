"""The steps for Google Kubernetes Engine: cluster, registry, accounts with few rights, signing key.

Nodes run as an account of their own, which may pull images and write logs. Pods have the rights of
another account, for the given buckets and the one secret, through the cluster's workload pool.
https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dag.core.setup.cluster import (
    GKE_DRIVER,
    SIGNING_KEY,
    ClusterSettings,
    cluster_steps,
    secret_flags,
)
from dag.core.setup.steps import MARK, Connect, LineCheck, RunProgram, SetupPlan, SetupStep, Words
from dag.errors import UsageError

_LABEL = "--labels=managed_by=dag"
_LABELLED = "--format=value(labels.managed_by)"
_BINDINGS = (
    "--flatten=bindings[].members",
    "--format=csv[no-heading](bindings.role,bindings.members)",
)
# gcr.io/PROJECT is a repository of Artifact Registry.
# https://cloud.google.com/artifact-registry/docs/transition/setup-gcr-repo
_REPOSITORY = ("gcr.io", "--location=us")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_PATIENCE = 120.0
"""Seconds in which every part of Google's cloud learns of a new account or API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GkeSettings:
    """The settings of `dag setup gke`, which makes things in a Google Cloud project."""

    project: str
    location: str
    """A flag of gcloud: `--zone=…` or `--region=…`. Only this one finds what was made with it."""
    cluster: str = "dag"
    max_cpu: int = 64
    """The most CPUs that all autoprovisioned nodes together may have."""
    max_memory: int = 256
    """The most memory that they may have, in GB."""
    arm_machine: str = "c4a-standard-4"
    bucket: str | None = None
    src_bucket: str | None = None
    signing_key: str | None = None
    """The path of the private key that becomes the secret. With None, the secret exists already."""
    inside: ClusterSettings

    @property
    def nodes(self) -> str:
        """Return the email of the account as which nodes run."""
        return f"dag-nodes@{self.project}.iam.gserviceaccount.com"

    @property
    def builds(self) -> str:
        """Return the email of the account whose rights pods get."""
        return f"dag-builds@{self.project}.iam.gserviceaccount.com"

    @property
    def buckets(self) -> dict[str, str]:
        """Return the role that builds need, by the URL of each bucket."""
        roles = {}
        if self.src_bucket:
            roles[bucket_url(self.src_bucket)] = "roles/storage.objectViewer"
        if self.bucket:  # this role may also read, so it wins if both are the same bucket
            roles[bucket_url(self.bucket)] = "roles/storage.objectUser"
        return roles


def bucket_url(name: str) -> str:
    """Return `gs://BUCKET` for `gs://BUCKET/PREFIX` or `BUCKET`.

    Raises:
        UsageError: it is in another cloud.

    """
    scheme, _, rest = name.rpartition("://")
    bucket = rest.partition("/")[0]
    if scheme not in ("", "gs") or not bucket:
        raise UsageError(f"{name!r} is not a bucket of Google Cloud", hint="write gs://BUCKET")
    return f"gs://{bucket}"


def gke_plan(settings: GkeSettings) -> SetupPlan:
    """Return the plan of `dag setup gke`.

    Raises:
        UsageError: a bucket is in another cloud.

    """
    inside = settings.inside
    flags = {
        "project": settings.project,
        "namespace": inside.namespace,
        "service-account": inside.service_account,
    }
    if settings.bucket:
        flags["bucket"] = settings.bucket
    if settings.src_bucket:
        flags["src-bucket"] = settings.src_bucket
    if inside.secret_key:
        flags |= secret_flags(inside)
    steps = [*_registry(settings), *_cluster(settings)]
    if settings.buckets or inside.secret_key:
        steps += _identity(settings)
        annotation = {"iam.gke.io/gcp-service-account": settings.builds}
        inside = replace(inside, annotations={**inside.annotations, **annotation})
    patient = [
        replace(step, patience=_PATIENCE) if isinstance(step, RunProgram) else step
        for step in steps
    ]
    place = settings.location.partition("=")[2]
    context = f"gke_{settings.project}_{place}_{settings.cluster}"
    return SetupPlan(steps=(*patient, *cluster_steps(inside)), context=context, flags=flags)


def _registry(settings: GkeSettings) -> Iterator[SetupStep]:
    project = f"--project={settings.project}"
    apis = ["container", "artifactregistry", "iam", "iamcredentials"]
    if settings.inside.secret_key:
        apis.append("secretmanager")
    listed = ("gcloud", "services", "list", "--enabled", project, "--format=value(config.name)")
    for name in apis:
        api = f"{name}.googleapis.com"
        yield RunProgram(
            title=f"API {api}",
            argv=("gcloud", "services", "enable", api, project),
            done=LineCheck(api, listed),
        )
    artifacts = ("gcloud", "artifacts", "repositories")
    describe = (*artifacts, "describe", *_REPOSITORY, project)
    yield RunProgram(
        title=f"Repository gcr.io/{settings.project}: bundles go there",
        argv=(*artifacts, "create", *_REPOSITORY, "--repository-format=docker", project, _LABEL),
        done=LineCheck("DOCKER", (*describe, "--format=value(format)")),
        undo=(*artifacts, "delete", *_REPOSITORY, project, "--quiet"),
        ours=LineCheck("dag", (*describe, _LABELLED)),
    )
    yield from _account(settings, settings.nodes, "nodes run as this account")
    node = ("--role=roles/container.defaultNodeServiceAccount", "--condition=None")
    yield _binding(
        settings,
        "Nodes may write logs and metrics",
        ("gcloud", "projects"),
        (settings.project,),
        settings.nodes,
        *node,
    )
    yield _binding(
        settings,
        "Nodes may pull bundles",
        artifacts,
        (*_REPOSITORY, project),
        settings.nodes,
        "--role=roles/artifactregistry.reader",
    )


def _cluster(settings: GkeSettings) -> Iterator[SetupStep]:
    name, pool = settings.cluster, f"{settings.project}.svc.id.goog"
    where = (settings.location, f"--project={settings.project}")
    clusters = ("gcloud", "container", "clusters")
    describe = (*clusters, "describe", name, *where)
    provisioning = (
        "--enable-autoprovisioning",
        f"--max-cpu={settings.max_cpu}",
        f"--max-memory={settings.max_memory}",
        f"--autoprovisioning-service-account={settings.nodes}",
        f"--autoprovisioning-scopes={_SCOPE}",
    )
    there = LineCheck(name, (*describe, "--format=value(name)"))
    yield RunProgram(
        title=f"Cluster {name}: it makes nodes when builds need them, and removes them afterwards",
        argv=(
            *(*clusters, "create", name, *where, "--release-channel=regular", _LABEL),
            *("--num-nodes=1", f"--service-account={settings.nodes}", f"--scopes={_SCOPE}"),
            *(f"--workload-pool={pool}", *provisioning),
        ),
        done=there,
        undo=(*clusters, "delete", name, *where, "--quiet"),
        ours=LineCheck("dag", (*describe, "--format=value(resourceLabels.managed_by)")),
    )
    # A cluster that was just made has what follows; one that was there before may lack it.
    update = (*clusters, "update", name, *where)
    yield RunProgram(
        title="Workload pool: pods may have identities",
        argv=(*update, f"--workload-pool={pool}"),
        done=LineCheck(pool, (*describe, "--format=value(workloadIdentityConfig.workloadPool)")),
    )
    yield RunProgram(
        title="Autoprovisioning: nodes become as large as builds ask for",
        argv=(*update, *provisioning),
        done=LineCheck(
            "True", (*describe, "--format=value(autoscaling.enableNodeAutoprovisioning)")
        ),
    )
    if settings.inside.secret_key and settings.inside.csi_driver == GKE_DRIVER:
        yield RunProgram(
            title="Secret Manager add-on: it mounts the signing key into pods",
            argv=(*update, "--enable-secret-manager"),
            done=LineCheck("True", (*describe, "--format=value(secretManagerConfig.enabled)")),
        )
    if settings.inside.arm:
        pools = ("gcloud", "container", "node-pools")
        arm = ("arm", f"--cluster={name}", *where)
        yield RunProgram(
            title="Arm node pool: it is empty until a build for aarch64 comes",
            argv=(
                *(*pools, "create", *arm, f"--machine-type={settings.arm_machine}"),
                *("--num-nodes=0", "--enable-autoscaling", "--min-nodes=0", "--max-nodes=8"),
                *(f"--service-account={settings.nodes}", f"--scopes={_SCOPE}"),
                *("--workload-metadata=GKE_METADATA", "--node-labels=managed_by=dag"),
            ),
            done=LineCheck("arm", (*pools, "describe", *arm, "--format=value(name)")),
            undo=(*pools, "delete", *arm, "--quiet"),
            ours=LineCheck(
                "dag", (*pools, "describe", *arm, "--format=value(config.labels.managed_by)")
            ),
        )
    yield Connect(
        title="Credentials in your kubeconfig",
        argv=(*clusters, "get-credentials", name, *where),
        there=there,
    )


def _identity(settings: GkeSettings) -> Iterator[SetupStep]:
    project = f"--project={settings.project}"
    yield from _account(settings, settings.builds, "pods have its rights")
    inside = settings.inside
    pool = f"{settings.project}.svc.id.goog[{inside.namespace}/{inside.service_account}]"
    yield _binding(
        settings,
        f"Pods of service account {inside.service_account} in {inside.namespace} have those rights",
        ("gcloud", "iam", "service-accounts"),
        (settings.builds, project),
        settings.builds,
        "--role=roles/iam.workloadIdentityUser",
        member=pool,
    )
    for url, role in settings.buckets.items():
        buckets = ("gcloud", "storage", "buckets")
        if role.endswith("User"):
            yield RunProgram(
                title=f"Bucket {url}: packages go there, and undoing leaves it alone",
                argv=(
                    *(*buckets, "create", url, project, f"--location={_region(settings)}"),
                    *("--uniform-bucket-level-access", "--public-access-prevention"),
                ),
                done=LineCheck(
                    url.removeprefix("gs://"), (*buckets, "describe", url, "--format=value(name)")
                ),
            )
        may = "read and write" if role.endswith("User") else "read"
        yield _binding(
            settings,
            f"Builds may {may} objects of {url}, and of no other bucket",
            buckets,
            (url,),
            settings.builds,
            f"--role={role}",
        )
    if inside.secret_key:
        yield from _secret(settings)


def _secret(settings: GkeSettings) -> Iterator[SetupStep]:
    project = f"--project={settings.project}"
    secrets = ("gcloud", "secrets")
    describe = (*secrets, "describe", SIGNING_KEY, project)
    if settings.signing_key:
        yield RunProgram(
            title=f"Secret {SIGNING_KEY}",
            argv=(
                *secrets,
                "create",
                SIGNING_KEY,
                project,
                "--replication-policy=automatic",
                _LABEL,
            ),
            done=LineCheck(SIGNING_KEY, (*describe, "--format=value(name.basename())")),
            undo=(*secrets, "delete", SIGNING_KEY, project, "--quiet"),
            ours=LineCheck("dag", (*describe, _LABELLED)),
        )
        latest = ("versions", "describe", "latest", f"--secret={SIGNING_KEY}", project)
        yield RunProgram(
            title="Content of the secret: the signing key; the same command adds a newer one",
            argv=(
                *(*secrets, "versions", "add", SIGNING_KEY, project),
                f"--data-file={settings.signing_key}",
            ),
            done=LineCheck("ENABLED", (*secrets, *latest, "--format=value(state)")),
        )
    yield _binding(
        settings,
        f"Builds may read {SIGNING_KEY}, and no other secret",
        secrets,
        (SIGNING_KEY, project),
        settings.builds,
        "--role=roles/secretmanager.secretAccessor",
    )


def _account(settings: GkeSettings, email: str, purpose: str) -> Iterator[SetupStep]:
    accounts = ("gcloud", "iam", "service-accounts")
    project = f"--project={settings.project}"
    name = email.partition("@")[0]
    yield RunProgram(
        title=f"Account {name}: {purpose}",
        argv=(*accounts, "create", name, project, f"--description={MARK}"),
        done=LineCheck(email, _describe_account(settings, email, "email")),
        undo=(*accounts, "delete", email, project, "--quiet"),
        ours=LineCheck(MARK, _describe_account(settings, email, "description")),
    )


def _binding(
    settings: GkeSettings,
    title: str,
    noun: Words,
    thing: Words,
    account: str,
    *role: str,
    member: str | None = None,
) -> RunProgram:
    """Return the step that gives a role to `member`, which is the account unless it is named.

    A binding has no mark: it is ours if the account is, with which it has to do.
    """
    whom = f"serviceAccount:{member or account}"
    words = (*thing, f"--member={whom}", *role)
    return RunProgram(
        title=title,
        argv=(*noun, "add-iam-policy-binding", *words),
        done=LineCheck(
            f"{role[0].partition('=')[2]},{whom}", (*noun, "get-iam-policy", *thing, *_BINDINGS)
        ),
        undo=(*noun, "remove-iam-policy-binding", *words),
        ours=LineCheck(MARK, _describe_account(settings, account, "description")),
    )


def _describe_account(settings: GkeSettings, email: str, field: str) -> Words:
    accounts = ("gcloud", "iam", "service-accounts")
    return (
        *accounts,
        "describe",
        email,
        f"--project={settings.project}",
        f"--format=value({field})",
    )


def _region(settings: GkeSettings) -> str:
    flag, _, place = settings.location.partition("=")
    return place.rpartition("-")[0] if flag == "--zone" else place
