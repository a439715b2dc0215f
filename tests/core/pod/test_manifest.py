"""The Pod that is created, compared with files that people can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import yaml

from dag.core.arch import Arch
from dag.core.pod.manifest import PodSettings, pod
from dag.core.pod.options import PodOptions
from dag.core.pod.scheduling import NodeLabel, Toleration
from dag.core.shell import ShellScript
from dag.core.store.buckets import Bucket
from dag.report.manifest import to_yaml
from tests.support.golden import Golden

SMALLEST = PodSettings(
    options=PodOptions(packages=("one",), sdk_image="registry.example.com/sdk@sha256:" + "5" * 64),
    namespace="default",
    run="0123456789",
    arch=Arch.parse("x86_64"),
    bundle="registry.example.com/dag@sha256:" + "b" * 64,
    script=ShellScript("make \"$@\"\necho 'ends'\n"),
    targets=("packages/x86_64/one-1.10-r2.apk",),
    version="1.2.3",
)
EVERYTHING = replace(
    SMALLEST,
    options=replace(
        SMALLEST.options,
        packages=(),
        cpu="16",
        ram="64Gi",
        disk="100Gi",
        service_account="builder",
        timeout=5400.4,
        cache_bundle="registry.example.com/cache@sha256:" + "c" * 64,
        out="built",
        src_bucket=Bucket.parse("gs://built/os"),
        bucket=Bucket.parse("s3://built"),
        bucket_secret="bucket",
        secret_key=True,
        signing_key_name="example",
        isolation="userns",
        node_labels=(NodeLabel("pool", "builds"),),
        tolerations=(Toleration("pool", "builds", "NoSchedule"),),
        priority_class="low",
        pull_secrets=("registry",),
        proxy="http://proxy.example.com:3128",
        no_proxy=("10.0.0.0/8", ".example.com"),
    ),
    namespace="builds",
    arch=Arch.parse("arm64"),
    targets=("all",),
    wanted=("one-1.10-r2.apk", "one-doc-1.10-r2.apk"),
    key="/dag-key/example.rsa",
)


def asking(settings: PodSettings, **flags: object) -> PodSettings:
    options: Callable[..., PodOptions] = partial(replace, settings.options)
    return replace(settings, options=options(**flags))


@pytest.mark.parametrize(
    ("name", "settings"), [("pod-smallest", SMALLEST), ("pod-everything", EVERYTHING)]
)
def test_the_pod_is_the_one_in_the_golden_file(
    golden: Golden, name: str, settings: PodSettings
) -> None:
    golden(f"{name}.yaml", to_yaml(pod(settings)))


def test_where_another_architecture_is_emulated_the_node_is_of_its_own() -> None:
    spec = pod(asking(EVERYTHING, node_arch=Arch.parse("amd64")))["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64", "pool": "builds"}
    assert [one["key"] for one in spec["tolerations"]] == ["pool"]
    assert spec["containers"] == pod(EVERYTHING)["spec"]["containers"]


def test_only_what_asks_the_network_knows_the_proxy() -> None:
    whole = pod(asking(EVERYTHING, bucket_secret=None))
    spec = whole["spec"]
    proxied = {
        one["name"]
        for one in (*spec["initContainers"], *spec["containers"])
        if "http_proxy" in {variable["name"] for variable in one.get("env", ())}
    }
    assert proxied == {"fetch-packages", "build", "upload"}


def test_the_yaml_reads_back_as_what_is_posted() -> None:
    odd = replace(
        EVERYTHING,
        script=ShellScript(
            "tab\there, trailing space \n  and: [odd] {things} # 'all' \"of\" them\n\n"
        ),
        targets=("yes", "1e3", "0123", "~", "a: b", "- c", "", " d", "package/libstdc++"),
    )
    assert yaml.safe_load(to_yaml(pod(odd))) == pod(odd)


def test_a_timeout_below_a_second_is_still_one() -> None:
    assert pod(asking(SMALLEST, timeout=0.2))["spec"]["activeDeadlineSeconds"] == 1


def test_thousands_of_names_stay_below_what_an_annotation_holds() -> None:
    names = tuple(f"package-{number}" for number in range(3401))
    text = pod(asking(SMALLEST, packages=names))["metadata"]["annotations"]["dag/packages"]
    assert len(text) <= 4096
    assert text.startswith("package-0 package-1 ")
    assert text.endswith(" … (3401)")


@pytest.mark.parametrize("isolation", ["userns", "privileged"])
def test_no_container_but_the_one_that_builds_may_do_more_than_any_user(isolation: str) -> None:
    spec = pod(asking(EVERYTHING, isolation=isolation))["spec"]
    containers = [*spec["initContainers"], *spec["containers"]]
    assert len(containers) == 6
    for one in containers:
        rights = one["securityContext"]
        if one["name"] != "build":
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        elif isolation == "userns":
            assert rights["capabilities"]["drop"] == ["ALL"]
            assert rights["allowPrivilegeEscalation"] is False
        else:
            assert rights == {"privileged": True}
