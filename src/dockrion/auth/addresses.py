"""Which address a call comes from, where proxies stand in between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

from dockrion.auth.base import Headers

Address: TypeAlias = IPv4Address | IPv6Address

# So many hops are looked at; a longer list was not written by proxies.
_MAX_HOPS: Final = 32
# An address with a port or brackets, as some proxies write it: 192.0.2.1:80, [2001:db8::1], [2001:db8::1]:80.
_DRESSED: Final = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
# What a provider gives one customer: who has one address of it has all of them.
_IPV6_BITS: Final = 64


class ClientAddresses:
    """Finds the caller behind the proxies of `auth.trusted_proxies`.

    Who is not one of these can write what it likes into `X-Forwarded-For`, so the list is read from its end: it counts
    as far as each who wrote a part of it is trusted.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted = [ip_network(value, strict=False) for value in trusted]

    def caller(self, peer: str | None, headers: Headers) -> str:
        """Return whom to count a call for: an address, of IPv6 its /64. All who have none count as one."""
        if not peer:
            return "local"
        found = _read(peer)
        if found is None:
            return peer
        if self._trusted and self._trusts(found):
            found = self._behind(found, _hops(headers))
        return _network(found)

    def _behind(self, proxy: Address, hops: Iterable[str]) -> Address:
        """Return the first that is not trusted; where the list ends or is no address, the last that is known."""
        found = proxy
        for hop in hops:
            address = _read(hop.strip())
            if address is None:
                break
            found = address
            if not self._trusts(found):
                break
        return found

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _hops(headers: Headers) -> list[str]:
    """Return the nearest first; a header that comes several times is one list (RFC 9110, section 5.3)."""
    joined = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    hops = joined.decode("latin-1").rsplit(",", _MAX_HOPS)
    # What is left over of a list that is too long.
    return hops[:0:-1] if len(hops) > _MAX_HOPS else hops[::-1]


def _read(text: str) -> Address | None:
    if dressed := _DRESSED.fullmatch(text):
        text = dressed[1] or dressed[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that takes both kinds of callers shows those of IPv4 this way.
    return getattr(address, "ipv4_mapped", None) or address


def _network(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, _IPV6_BITS), strict=False))
