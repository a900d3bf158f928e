"""Where an anonymous visitor sits, so that one who guesses does not use up everybody's patience.

`X-Forwarded-For` counts only behind a proxy that the settings trust, and only up to the first
address that is not one of them: everything further left was written by whoever asks (attack 24).
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from fastapi import Request

_IPV6_SITE = 64  # bits: one household or office has all addresses below


def address_of(request: Request, proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """The nearest address that no proxy of ours has; an IPv6 address stands for its /64."""
    peer = request.client.host if request.client else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while hops and _is_one_of(peer, proxies):
        peer = hops.pop()
    return _site(peer)


def _is_one_of(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        return any(ip_address(address) in network for network in networks)
    except ValueError:
        return False


def _site(address: str) -> str:
    try:
        known = ip_address(address)
    except ValueError:
        return ""  # nonsense shares one allowance
    if known.version == 4:
        return str(known)
    return str(IPv6Network((int(known), _IPV6_SITE), strict=False))
