"""Which addresses the policies of `dag setup` leave open, as whoever enforces them reads them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from dag.core.kube.objects import KubeObject
from dag.core.setup.network import NETWORK, network_policy, signer_policy
from dag.errors import UsageError


def permits(policy: KubeObject, address: str, port: int = 443, protocol: str = "TCP") -> bool:
    """Return whether a policy lets a pod connect to there."""
    rules = policy["spec"].get("egress", [])
    return any(
        (
            {"protocol": protocol, "port": port}
            in rule.get("ports", [{"protocol": protocol, "port": port}])
        )
        and ("to" not in rule or any(is_in(one["ipBlock"], address) for one in rule["to"]))
        for rule in rules
    )


def is_in(block: KubeObject, address: str) -> bool:
    without = any(ip_address(address) in ip_network(one) for one in block.get("except", ()))
    return ip_address(address) in ip_network(block["cidr"]) and not without


BUILDS = network_policy("builds", ["10.1.2.0/24", "fd00:1::/64"])
SIGNER = signer_policy("signer", ["10.1.2.0/24", "fd00:1::/64"], outside=True)


@pytest.mark.parametrize("policy", [BUILDS, SIGNER])
@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "172.15.0.1", "172.32.0.1"),
        *("168.63.129.15", "168.63.129.17", "192.0.1.0", "192.169.0.1", "198.17.255.255"),
        *("198.20.0.0", "223.255.255.255"),
        *("2001:4860:4860::8888", "2606:4700::1111", "2a00::1", "64:ff9b::1.1.1.1"),
        *("10.1.2.3", "fd00:1::5"),
    ],
)
def test_public_addresses_and_named_ranges_are_open(policy: KubeObject, address: str) -> None:
    assert permits(policy, address)


@pytest.mark.parametrize("policy", [BUILDS, SIGNER])
@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.1", "10.0.0.1", "10.1.3.0", "100.64.0.1", "100.100.100.200", "127.0.0.1"),
        *("169.254.169.254", "169.254.170.23", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
        *("168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.19.255.255"),
        *("198.51.100.1", "203.0.113.1", "224.0.0.251", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::10.0.0.1", "::ffff:10.0.0.1", "fc00::1", "fd00:2::1", "fd00:ec2::254"),
        *("fe80::1", "fec0::1", "ff02::1", "100::1", "2001::1", "2001:db8::1", "3fff::1"),
        *("2002:a9fe:a9fe::1", "64:ff9b:1::1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254"),
        "64:ff9b::168.63.129.16",
    ],
)
def test_what_is_inside_of_a_cluster_or_a_network_is_closed(
    policy: KubeObject, address: str
) -> None:
    assert not permits(policy, address)


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
@pytest.mark.parametrize("address", ["10.96.0.10", "169.254.20.10", "fd00:2::a"])
def test_name_servers_are_open_wherever_they_are(protocol: str, address: str) -> None:
    assert permits(BUILDS, address, 53, protocol)
    assert permits(SIGNER, address, 53, protocol)


def test_a_signer_whose_store_is_a_volume_reaches_nothing_and_nobody_reaches_a_signer() -> None:
    alone = signer_policy("signer", [], outside=False)
    for policy in (alone, SIGNER):
        assert policy["spec"]["podSelector"] == {}
        assert "Ingress" in policy["spec"]["policyTypes"]
        assert "ingress" not in policy["spec"]
    assert not permits(alone, "1.1.1.1")
    assert not permits(alone, "10.96.0.10", 53, "UDP")


@pytest.mark.parametrize("text", ["10.1.2.3/24", "store.example.com", "10.1.2.0/33"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no range of addresses"):
        NETWORK.parse(text)
