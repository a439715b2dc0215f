"""Manifests that a project publishes at a URL."""

from __future__ import annotations

from typing import Any

import httpx2
import yaml

from dag.core.limits import MANIFESTS, TooLarge
from dag.errors import InfrastructureError
from dag.io.proxies import check_proxies
from dag.io.web import NoCookies, read_answer, tls_context


async def fetch_manifests(url: str) -> list[dict[str, Any]]:
    """Fetch a YAML file and return the Kubernetes objects in it.

    Raises:
        InfrastructureError: it cannot be fetched, or something in it is no Kubernetes object.

    """
    check_proxies()
    client = httpx2.AsyncClient(
        follow_redirects=True, timeout=30, cookies=NoCookies(), verify=tls_context()
    )
    try:
        async with client as http:
            sent = await http.send(http.build_request("GET", url), stream=True)
            response = await read_answer(sent, MANIFESTS)
            response.raise_for_status()
    except httpx2.HTTPStatusError as error:
        raise InfrastructureError(f"{url}: HTTP {error.response.status_code}") from error
    except (httpx2.TransportError, httpx2.DecodingError) as error:
        raise InfrastructureError(f"{url} cannot be fetched: {error}") from error
    except TooLarge as error:
        raise InfrastructureError(error.message) from None
    try:
        objects = [item for item in yaml.safe_load_all(response.text) if item is not None]
    except yaml.YAMLError as error:
        raise InfrastructureError(f"{url} is not YAML: {error}") from error
    except RecursionError:
        raise InfrastructureError(f"{url} is nested too deeply") from None
    for item in objects:
        if not isinstance(item, dict) or not {"apiVersion", "kind", "metadata"} <= item.keys():
            raise InfrastructureError(f"{url} contains something that is not a Kubernetes object")
    return objects
