"""The requests of a pod: never below the largest that a definition asks for."""

from __future__ import annotations

import pytest

from dag.core.package.model import DeclaredResources, Package
from dag.core.pod.demands import raise_requests
from dag.core.pod.options import PodOptions
from dag.errors import UsageError


def package(name: str, **asked: str) -> Package:
    lines = tuple((field, 10 + number) for number, field in enumerate(asked))
    return Package(
        name=name,
        version="1",
        epoch=0,
        file=f"{name}.yaml",
        line=2,
        resources=DeclaredResources(**asked, lines=lines),
    )


def requests(options: PodOptions, *packages: Package) -> tuple[str, str, str, str | None]:
    raised = raise_requests(options, packages)
    return raised.options.cpu, raised.options.ram, raised.options.disk, raised.note


def test_each_request_is_the_largest_of_all_definitions_and_of_the_flag() -> None:
    packages = (
        package("small", cpu="500m", memory="1Gi"),
        package("wide", cpu="16", disk="100Gi"),
        package("deep", cpu="8", memory="512000Mi"),
        package("none"),
    )
    assert requests(PodOptions(), *packages) == (
        "16",
        "512000Mi",
        "100Gi",
        (
            "the pod requests cpu 16 for wide (wide.yaml:10), memory 512000Mi for deep"
            " (deep.yaml:11), disk 100Gi for wide (wide.yaml:11), as the definition asks for it"
        ),
    )
    assert requests(PodOptions(cpu="32", ram="1Ti", disk="1Gi"), *packages) == (
        "32",
        "1Ti",
        "100Gi",
        "the pod requests disk 100Gi for wide (wide.yaml:11), as the definition asks for it",
    )


def test_without_a_larger_demand_the_flags_stay_as_they_are() -> None:
    assert requests(PodOptions()) == ("1", "2Gi", "1Gi", None)
    same = package("same", cpu="1000m", memory="2048Mi", disk="1Gi")
    assert requests(PodOptions(), same) == ("1", "2Gi", "1Gi", None)


@pytest.mark.parametrize("field", ["cpu", "memory", "disk"])
@pytest.mark.parametrize("text", ["lots", "500 Gi", "-1", "0", "1e999", "5GB"])
def test_what_is_no_quantity_is_named_with_file_and_line(field: str, text: str) -> None:
    wrong = package("wrong", cpumodel="any", **{field: text})
    with pytest.raises(UsageError) as caught:
        raise_requests(PodOptions(), [package("fine", cpu="2"), wrong])
    assert caught.value.message.startswith(
        f"wrong.yaml:11: package.resources.{field} of wrong: {text!r}"
    )
