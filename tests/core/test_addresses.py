"""Which addresses are the internet's, whatever form they are written in."""

from __future__ import annotations

import pytest

from dag.core.addresses import is_public

INSIDE = """
127.0.0.1 127.1.2.3 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
255.255.255.255 192.0.2.1 198.18.0.1 240.0.0.1 192.0.0.192 168.63.129.16 198.51.100.1 203.0.113.1
::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 2001:db8::1 ::ffff:127.0.0.1
::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 2002:7f00:1:: 2002:a9fe:a9fe::
2001:0:4136:e378:8000:63bf:3fff:fdd2 fec0::1 ::10.0.0.1 64:ff9b:1::1 64:ff9b::168.63.129.16 5f00::1 3fff::1
2001:2::1 nonsense
"""
OUTSIDE = (
    "8.8.8.8 1.1.1.1 93.184.216.34 2606:4700::1 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::"
    " 192.31.196.1 168.63.129.17 2a00::1"
)


@pytest.mark.parametrize("address", INSIDE.split())
def test_addresses_inside_of_a_network_are_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE.split())
def test_addresses_of_the_internet_are_told(address: str) -> None:
    assert is_public(address)
