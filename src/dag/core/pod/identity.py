"""The identity that a Pod's agents have in a cloud: a token that only their containers have.

Which role, client or provider that is, the service account says, by the annotations that webhooks of
these clouds know. The Pod projects the token itself, so no container that builds has one, and no
webhook is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dag.core.kube.objects import KubeObject, KubeView
from dag.core.store.buckets import Bucket
from dag.errors import UsageError

VOLUME = "identity"
_PLACE = "/dag-identity"
_TOKEN, _CREDENTIALS = "token", "google.json"  # names of files
_TOKEN_FILE = f"{_PLACE}/{_TOKEN}"
_SECONDS = 3600
"""Seconds for which a token is valid; the kubelet writes a new one before that."""
_CREDENTIALS_ANNOTATION = "dag/google-credentials"

# https://github.com/aws/amazon-eks-pod-identity-webhook
_ROLE, _AUDIENCE = "eks.amazonaws.com/role-arn", "eks.amazonaws.com/audience"
# https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
_CLIENT, _TENANT = "azure.workload.identity/client-id", "azure.workload.identity/tenant-id"
# https://github.com/pfnet-research/gcp-workload-identity-federation-webhook
PROVIDER = "cloud.google.com/workload-identity-provider"
_EMAIL, _GOOGLE_AUDIENCE = "cloud.google.com/service-account-email", "cloud.google.com/audience"
_FORMS = {
    _ROLE: (r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+", "arn:aws:iam::ACCOUNT:role/NAME"),
    _CLIENT: (r"[0-9A-Fa-f-]{36}", "the client id of a managed identity or an application"),
    _TENANT: (r"[0-9A-Fa-f-]{36}", "the id of the tenant"),
    PROVIDER: (
        r"projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+",
        "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
    ),
    _EMAIL: (r"[a-z0-9-]+@[a-z0-9.:-]+", "NAME@PROJECT.iam.gserviceaccount.com"),
    _AUDIENCE: (r"[A-Za-z0-9_./:-]+", "sts.amazonaws.com"),
    _GOOGLE_AUDIENCE: (r"[A-Za-z0-9_./:-]+", "an audience that the provider allows"),
}  # fmt: skip
"""The annotations, each with the form that its value has, and words for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudIdentity:
    """A token for a cloud, and what its libraries want to know of it."""

    audience: str
    """Whom the token is for."""
    variables: Mapping[str, str]
    """What the environment of the agent's containers has."""
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What the Pod has, so that a container can have it as a file."""

    @property
    def environment(self) -> list[KubeObject]:
        """Return the variables as a container has them."""
        return [{"name": name, "value": value} for name, value in self.variables.items()]

    @property
    def mounts(self) -> list[KubeObject]:
        """Return the mount of the token."""
        return [{"name": VOLUME, "mountPath": _PLACE, "readOnly": True}]

    @property
    def volumes(self) -> list[KubeObject]:
        """Return the volume of the token."""
        token = {"audience": self.audience, "expirationSeconds": _SECONDS, "path": _TOKEN}
        sources: list[KubeObject] = [{"serviceAccountToken": token}]
        for name in self.annotations:
            path = {"fieldPath": f"metadata.annotations['{name}']"}
            sources.append({"downwardAPI": {"items": [{"path": _CREDENTIALS, "fieldRef": path}]}})
        return [{"name": VOLUME, "projected": {"sources": sources}}]


def identity_of(account: KubeView | None, *buckets: Bucket | None) -> CloudIdentity | None:
    """Return the identity of a service account for buckets; None if it says of none.

    Raises:
        UsageError: an annotation has a value that it cannot have.

    """
    metadata = account["metadata"] if account is not None else {}
    annotations = metadata.get("annotations") or {}
    found: list[CloudIdentity] = []
    for scheme in sorted({bucket.scheme for bucket in buckets if bucket is not None}):
        values = {
            key: _checked(metadata["name"], key, annotations[key])
            for key in _FORMS
            if key in annotations
        }
        one = _IDENTITIES[scheme](values)
        found += [one] if one is not None else []
    if len(found) > 1:
        raise UsageError(
            f"service account {metadata['name']} is somebody in several clouds, and a pod has one token",
            hint="use buckets of one cloud, or --bucket-secret and a service account without annotations",
        )
    return found[0] if found else None


def _checked(account: str, key: str, value: object) -> str:
    form, example = _FORMS[key]
    if not isinstance(value, str) or len(value) > 2048 or not re.fullmatch(form, value):
        raise UsageError(
            f"service account {account} has {value!r} as {key}, which that cannot be",
            hint=f"it is like {example}",
        )
    return value


def _amazon(values: Mapping[str, str]) -> CloudIdentity | None:
    if _ROLE not in values:
        return None
    return CloudIdentity(
        audience=values.get(_AUDIENCE, "sts.amazonaws.com"),
        variables={"AWS_ROLE_ARN": values[_ROLE], "AWS_WEB_IDENTITY_TOKEN_FILE": _TOKEN_FILE},
    )


def _azure(values: Mapping[str, str]) -> CloudIdentity | None:
    if not {_CLIENT, _TENANT} <= values.keys():
        return None
    return CloudIdentity(
        audience="api://AzureADTokenExchange",
        variables={
            "AZURE_CLIENT_ID": values[_CLIENT],
            "AZURE_TENANT_ID": values[_TENANT],
            "AZURE_FEDERATED_TOKEN_FILE": _TOKEN_FILE,
        },
    )


def _google(values: Mapping[str, str]) -> CloudIdentity | None:
    """Return what Google calls an external account.

    https://google.aip.dev/auth/4117
    """
    if PROVIDER not in values:
        return None
    account: dict[str, object] = {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/{values[PROVIDER]}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": _TOKEN_FILE},
    }
    if _EMAIL in values:
        account["service_account_impersonation_url"] = (
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
            f"{values[_EMAIL]}:generateAccessToken"
        )
    return CloudIdentity(
        audience=values.get(_GOOGLE_AUDIENCE, f"https://iam.googleapis.com/{values[PROVIDER]}"),
        variables={"GOOGLE_APPLICATION_CREDENTIALS": f"{_PLACE}/{_CREDENTIALS}"},
        annotations={_CREDENTIALS_ANNOTATION: json.dumps(account)},
    )


_IDENTITIES = {"s3": _amazon, "az": _azure, "gs": _google}
