"""Which identity a service account says that it has, and that only agents' containers have its token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from dag.core.build.events import ComputeResources
from dag.core.jobs.manifest import agent_job, unit_job
from dag.core.pod.identity import CloudIdentity, identity_of
from dag.core.pod.manifest import pod
from dag.core.store.buckets import Bucket
from dag.errors import UsageError
from dag.report.manifest import to_yaml
from tests.core.pod.test_manifest import EVERYTHING
from tests.support.golden import Golden
from tests.support.orders import SETTINGS, order

Json = dict[str, Any]
ROLE = "arn:aws:iam::123456789012:role/builds/dag"
ID, TENANT = "0" * 8 + "-0000-4000-8000-" + "1" * 12, "2" * 8 + "-0000-4000-8000-" + "3" * 12
PROVIDER = "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster"
AMAZON = {"eks.amazonaws.com/role-arn": ROLE}
AZURE = {"azure.workload.identity/client-id": ID, "azure.workload.identity/tenant-id": TENANT}
GOOGLE = {"cloud.google.com/workload-identity-provider": PROVIDER}
EVERYBODY = {**AMAZON, **AZURE, **GOOGLE}


def identity(annotations: Mapping[str, object] | None, *buckets: str) -> CloudIdentity | None:
    account = {"metadata": {"name": "builder", "annotations": annotations}}
    return identity_of(account, *map(Bucket.parse, buckets))


def found(annotations: Mapping[str, object], bucket: str) -> CloudIdentity:
    one = identity(annotations, bucket)
    assert one is not None
    return one


def test_the_clouds_own_annotations_say_whose_token_that_is() -> None:
    amazon, azure, google = (found(EVERYBODY, f"{one}://built") for one in ("s3", "az", "gs"))
    assert amazon.audience == "sts.amazonaws.com"
    assert amazon.variables == {
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/dag-identity/token",
    }
    assert azure.audience == "api://AzureADTokenExchange"
    assert azure.variables == {
        "AZURE_CLIENT_ID": ID,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_FEDERATED_TOKEN_FILE": "/dag-identity/token",
    }
    assert google.audience == f"https://iam.googleapis.com/{PROVIDER}"
    assert google.variables == {"GOOGLE_APPLICATION_CREDENTIALS": "/dag-identity/google.json"}
    (account,) = map(json.loads, google.annotations.values())
    assert account["credential_source"] == {"file": "/dag-identity/token"}
    assert "service_account_impersonation_url" not in account
    email = {"cloud.google.com/service-account-email": "dag@p.iam.gserviceaccount.com"}
    (account,) = map(json.loads, found({**GOOGLE, **email}, "gs://built").annotations.values())
    assert account["service_account_impersonation_url"].endswith(
        "/serviceAccounts/dag@p.iam.gserviceaccount.com:generateAccessToken"
    )


def test_an_audience_of_ones_own_counts() -> None:
    mine = {**AMAZON, "eks.amazonaws.com/audience": "sts.example.com"}
    assert found(mine, "s3://built").audience == "sts.example.com"
    mine = {**GOOGLE, "cloud.google.com/audience": "builds"}
    assert found(mine, "gs://built").audience == "builds"


def test_where_nothing_of_it_is_set_up_there_is_none() -> None:
    assert identity_of(None, Bucket.parse("s3://built")) is None
    assert identity(None, "s3://built") is None
    assert identity(EVERYBODY) is None
    assert identity({**AMAZON, **GOOGLE}, "az://built") is None
    # GKE's metadata server gives this one, and no token that dag could project.
    gke = {"iam.gke.io/gcp-service-account": "dag@p.iam.gserviceaccount.com"}
    assert identity(gke, "gs://built") is None
    # Azure's webhook knows the tenant, and nobody else does.
    del (client := dict(AZURE))["azure.workload.identity/tenant-id"]
    assert identity(client, "az://built") is None
    assert identity(EVERYBODY, "s3://built", "s3://other") is not None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("eks.amazonaws.com/role-arn", "arn:aws:iam::1:user/somebody"),
        ("eks.amazonaws.com/role-arn", f"{ROLE}$(HOME)"),
        ("eks.amazonaws.com/audience", "a b"),
        ("azure.workload.identity/client-id", 7),
        ("cloud.google.com/workload-identity-provider", f"//iam.googleapis.com/{PROVIDER}"),
        ("cloud.google.com/service-account-email", 'a"@b'),
    ],
)
def test_what_an_annotation_cannot_be_is_refused_by_its_name(key: str, value: object) -> None:
    bucket = {"e": "s3://built", "a": "az://built", "c": "gs://built"}[key[0]]
    with pytest.raises(UsageError, match=f"builder has .* as {key}, which"):
        identity({**EVERYBODY, key: value}, bucket)


def test_a_pod_has_one_identity() -> None:
    with pytest.raises(UsageError, match="in several clouds"):
        identity(EVERYBODY, "s3://built", "gs://built")


def spec_of(manifest: Json) -> Json:
    return dict(manifest["spec"].get("template", manifest)["spec"])


def with_token(manifest: Json) -> list[str]:
    """Return the containers that have the token; that is, those that know of it."""
    names = []
    spec = spec_of(manifest)
    for one in (*spec.get("initContainers", ()), *spec["containers"]):
        mounts = {mount["name"]: mount for mount in one["volumeMounts"]}
        variables = {variable["name"] for variable in one.get("env", ())}
        assert ("identity" in mounts) is bool(variables & {"AWS_ROLE_ARN", "AZURE_CLIENT_ID"})
        if "identity" in mounts:
            assert mounts["identity"]["readOnly"]
            names.append(one["name"])
    return names


def test_only_the_agents_of_a_job_have_the_token() -> None:
    settings = replace(
        SETTINGS,
        store=Bucket.parse("s3://built"),
        cache_bundle="registry.example.com/cache@sha256:3",
        identity=found(AMAZON, "s3://built"),
    )
    made = unit_job(settings, order(), ComputeResources(1000, 1 << 30))
    assert with_token(made) == ["prepare", "collect"]
    (volume,) = [one for one in spec_of(made)["volumes"] if one["name"] == "identity"]
    token = {"audience": "sts.amazonaws.com", "expirationSeconds": 3600, "path": "token"}
    assert volume["projected"] == {"sources": [{"serviceAccountToken": token}]}
    made = agent_job(settings, "look", "list", [])
    assert with_token(made) == ["agent"]
    environment = spec_of(made)["containers"][0]["env"]
    assert {"TMPDIR", "AWS_ROLE_ARN"} <= {one["name"] for one in environment}
    without = unit_job(replace(settings, identity=None), order(), ComputeResources(1000, 1 << 30))
    assert "identity" not in json.dumps(without)


def test_only_what_moves_packages_of_a_pod_has_the_token(golden: Golden) -> None:
    settings = replace(EVERYTHING, identity=found(AZURE, "az://built"))
    assert with_token(pod(settings)) == ["fetch-packages", "upload"]
    golden("pod-identity.yaml", to_yaml(pod(settings)))


def test_googles_file_is_an_annotation_of_the_pod() -> None:
    settings = replace(
        SETTINGS, store=Bucket.parse("gs://built"), identity=found(GOOGLE, "gs://built")
    )
    made = unit_job(settings, order(), ComputeResources(1000, 1 << 30))
    template = made["spec"]["template"]
    account = json.loads(template["metadata"]["annotations"]["dag/google-credentials"])
    assert account["audience"] == f"//iam.googleapis.com/{PROVIDER}"
    (volume,) = [one for one in spec_of(made)["volumes"] if one["name"] == "identity"]
    (item,) = volume["projected"]["sources"][1]["downwardAPI"]["items"]
    assert item == {
        "path": "google.json",
        "fieldRef": {"fieldPath": "metadata.annotations['dag/google-credentials']"},
    }
