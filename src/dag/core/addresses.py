"""Tells the addresses of the internet from those inside of a machine, a network, a cluster or a cloud."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# https://www.iana.org/assignments/iana-ipv4-special-registry: what no host outside has. Clusters have
# them all, also 198.18.0.0/15 and 240.0.0.0/4; the metadata servers of clouds are at 169.254.169.254
# and 192.0.0.192. The list of `ipaddress` is another one in each version of Python.
_INSIDE = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            # Azure gives its machines there what they begin with, also the credentials of a node.
            # https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16
            "168.63.129.16/32",
        ),
    )
)
# https://www.iana.org/assignments/ipv6-address-space: no host outside has any other address.
_OUTSIDE_6 = IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry. Some of these are IPv4 in another form.
_INSIDE_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")
"""The addresses of IPv4 for whoever has only IPv6: https://www.rfc-editor.org/rfc/rfc6052#section-2.1"""


def public_ranges() -> dict[str, list[str]]:
    """Return the ranges in which public addresses are, each with what in it is not public."""
    return {
        "0.0.0.0/0": [*map(str, _INSIDE)],
        str(_OUTSIDE_6): [*map(str, _INSIDE_6)],
        str(_NAT64): [str(_behind_nat64(one)) for one in _INSIDE],
    }


def _behind_nat64(network: IPv4Network) -> IPv6Network:
    first = int(_NAT64.network_address) + int(network.network_address)
    return IPv6Network((first, _NAT64.prefixlen + network.prefixlen))


def is_public(address: str) -> bool:
    """Return whether an address is one of the internet's, whatever form it is written in."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None:
            return found in _OUTSIDE_6 and not any(found in one for one in _INSIDE_6)
        found = inner
    return not any(found in one for one in _INSIDE)
