"""The requests of a pod: what the flags say, or more where a definition asks for more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dag.core.package.model import Package
from dag.core.package.resources import Demand, Resource, largest_demand
from dag.core.pod.options import PodOptions
from dag.core.units import quantity


@dataclass(frozen=True, slots=True)
class RaisedRequests:
    """The flags with requests that are enough, and in one line which definitions raised them."""

    options: PodOptions
    note: str | None = None


def raise_requests(options: PodOptions, packages: Sequence[Package]) -> RaisedRequests:
    """Raise `--cpu`, `--ram` and `--disk` to the largest `package.resources` of what is built.

    Raises:
        UsageError: what a definition asks for is no quantity.

    """
    raised: dict[Resource, Demand] = {}
    given: dict[Resource, str] = {
        "cpu": options.cpu,
        "memory": options.ram,
        "disk": options.disk,
    }
    for resource, text in given.items():
        demand = largest_demand(packages, resource)
        if demand is not None and demand.amount > quantity(text):
            raised[resource] = demand
    if not raised:
        return RaisedRequests(options)
    texts = given | {resource: one.text for resource, one in raised.items()}
    more = replace(options, cpu=texts["cpu"], ram=texts["memory"], disk=texts["disk"])
    words = [
        f"{resource} {one.text} for {one.package} ({one.place})" for resource, one in raised.items()
    ]
    return RaisedRequests(
        more, f"the pod requests {', '.join(words)}, as the definition asks for it"
    )
