"""With the token that a Pod projects, the libraries of the clouds get credentials for a bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from dag.core.limits import Limit
from dag.core.pod.identity import CloudIdentity, identity_of
from dag.core.store.buckets import Bucket
from dag.io.store.buckets.opening import open_bucket
from dag.io.store.objects import Objects, StoreError
from tests.support import identities
from tests.support.buckets import gcs, s3
from tests.support.serving import serving

LIMIT = Limit("an object of a test", 1 << 20)
ID = "00000000-0000-4000-8000-000000000000"
AMAZON = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/dag"}
AZURE = {"azure.workload.identity/client-id": ID, "azure.workload.identity/tenant-id": ID[::-1]}
PROVIDER = "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster"
GOOGLE = {"cloud.google.com/workload-identity-provider": PROVIDER}

Use = Callable[[CloudIdentity, str], Mapping[str, str]]


def identity(annotations: Mapping[str, str], bucket: str) -> CloudIdentity:
    account = {"metadata": {"name": "builder", "annotations": annotations}}
    found = identity_of(account, Bucket.parse(bucket))
    assert found is not None
    return found


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """Return what gives this process the environment of a container, with a token for somebody."""

    def use(identity: CloudIdentity, audience: str) -> Mapping[str, str]:
        (tmp_path / "token").write_text(identities.make_token(audience))
        for text in identity.annotations.values():
            (tmp_path / "google.json").write_text(text.replace("/dag-identity", str(tmp_path)))
        found = {
            name: value.replace("/dag-identity", str(tmp_path))
            for name, value in identity.variables.items()
        }
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        return found

    return use


@pytest.mark.long
def test_amazons_role_is_taken_with_a_token_that_is_for_its_service(
    use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = identity(AMAZON, "s3://built")
    with identities.amazon(tmp_path) as service, s3("127.0.0.1") as store:
        monkeypatch.setenv("SSL_CERT_FILE", str(service.authority))
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        variables = {**use(mine, mine.audience), "AWS_ENDPOINT_URL": store.url}
        bucket = Bucket.parse(store.bucket)
        opened = open_bucket(bucket, variables)
        assert opened.create("a", b"1")
        found = opened.read("a", LIMIT)
        assert found is not None
        assert found.data == b"1"
        assert {one["RoleArn"] for one in service.requests} == set(AMAZON.values())
        with pytest.raises(StoreError, match="400"):
            open_bucket(bucket, {**variables, **use(mine, "kubernetes")}).look("a")


def test_azures_client_logs_in_with_a_token_that_is_for_it(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = identity(AZURE, "az://built")
    seen: list[str] = []

    class Blobs(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:  # the server looks for this name
            seen.append(self.headers["Authorization"])
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with identities.azure() as service, serving(Blobs) as port:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", service.url)
        more = {
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}",
        }
        bucket = Bucket.parse("az://built")
        assert open_bucket(bucket, {**use(mine, mine.audience), **more}).look("a") is None
        assert seen == ["Bearer temporary"]
        (asked,) = service.requests
        assert asked["path"] == f"/{ID[::-1]}/oauth2/v2.0/token"
        assert asked["client_id"] == ID
        with pytest.raises(StoreError, match="400"):
            open_bucket(bucket, {**use(mine, "kubernetes"), **more}).look("a")


@pytest.mark.installs
def test_googles_account_is_an_external_one_for_which_a_token_stands(
    use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = identity(GOOGLE, "gs://built")
    file = tmp_path / "google.json"
    with identities.google(mine.audience) as service, gcs("127.0.0.1") as store:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.url)

        def opened(audience: str) -> Objects:
            variables = use(mine, audience)
            file.write_text(json.dumps(json.loads(file.read_text()) | {"token_url": service.url}))
            return open_bucket(Bucket.parse(store.bucket), variables)

        assert opened(mine.audience).create("a", b"1")
        asked = {one["audience"] for one in service.requests}
        assert asked == {f"//iam.googleapis.com/{PROVIDER}"}
        with pytest.raises(StoreError, match="somebody else"):
            opened("kubernetes").look("a")
