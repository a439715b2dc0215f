"""The key of a signer comes to its namespace when that is known to be apart."""

from __future__ import annotations

from dataclasses import replace

from dag.core.arch import Arch
from dag.core.build.proxies import ProxyOptions
from dag.core.jobs.claims import Claim
from dag.core.pod.pieces import proxy_variables
from dag.core.pod.scheduling import SchedulingOptions
from dag.core.setup.signer import SignerSettings, signer_plan
from dag.core.setup.steps import Ensure, Forbid, KeepFiles
from dag.core.store.buckets import Bucket

SETTINGS = SignerSettings(
    store=Claim("packages", ""),
    image="r.example.com/dag:1",
    public_name="my.rsa.pub",
    key_file="my.rsa",
    csi_driver="driver",
    engines={"a.pub": "PEM"},
    schedule="* * * * *",
    builds="builds",
    users=("ann",),
    node=Arch.parse("x86_64"),
    scheduling=SchedulingOptions(),
    pending_timeout=300.0,
)
PLAN = signer_plan(SETTINGS)


def test_nothing_of_the_key_is_there_before_the_cluster_was_asked_who_could_have_it() -> None:
    kinds = [type(one) for one in PLAN.steps]
    first, last = kinds.index(Forbid), len(kinds) - kinds[::-1].index(Forbid) - 1
    # The namespace comes first, because rights may hang on it.
    assert kinds[:first] == [Ensure]
    assert last < kinds.index(KeepFiles)


def test_it_is_asked_of_builds_of_their_driver_and_of_those_who_begin_them() -> None:
    asked = [one.user for one in PLAN.steps if isinstance(one, Forbid)]
    assert asked == [
        "system:serviceaccount:builds:default",
        "system:serviceaccount:builds:dag-driver",
        "ann",
    ]


def test_it_reaches_its_bucket_through_the_proxy() -> None:
    proxies = proxy_variables(ProxyOptions(proxy="http://a.example:1"))
    plan = signer_plan(replace(SETTINGS, store=Bucket.parse("s3://built"), proxies=proxies))
    (job,) = (
        one.manifest
        for one in plan.steps
        if isinstance(one, Ensure) and one.manifest["kind"] == "CronJob"
    )
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert {"name": "https_proxy", "value": "http://a.example:1"} in container["env"]
