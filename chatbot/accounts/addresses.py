"""Where a request comes from, when it has come through proxies.

Anybody can write an X-Forwarded-For of their own. Only what a trusted proxy has added at its right
end says who was at the other side of that proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address

# What a connection by a Unix socket is called among the proxies: it has no address.
UNIX = "unix"
# Where nothing else is known. It is nobody's (RFC 1122, section 3.2.1.3).
NOWHERE = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Proxies:
    """Those whose word is taken for where a request came from."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    has_unix: bool = False

    def include(self, address: Address | None) -> bool:
        """Say whether this is one of them; None is who came by a Unix socket."""
        if address is None:
            return self.has_unix
        return any(address in network for network in self.networks)


@cache
def parse_proxies(names: tuple[str, ...]) -> Proxies:
    """Read addresses, networks such as 10.0.0.0/8, and `unix`. Raises ValueError."""
    networks = tuple(ip_network(name) for name in names if name != UNIX)
    return Proxies(networks, has_unix=UNIX in names)


def client_address(peer: str, forwarded: str, proxies: Proxies) -> Address:
    """Return the right-most address of the way here that is none of the proxies.

    `peer` is the other end of the connection (nothing, by a Unix socket), and `forwarded` what all
    its X-Forwarded-For say. If all are proxies, it is the farthest of them; where one of them says
    something that is no address, it is that one's own.
    """
    found = _parse(peer)
    for word in reversed(forwarded.split(",")):
        if not proxies.include(found):
            break
        said = _parse(word)
        if said is None:
            break
        found = said
    return NOWHERE if found is None else found


def address_of(request: HttpRequest) -> str:
    """Return where a request came from (django-ratelimit's RATELIMIT_IP_META_KEY)."""
    peer = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return str(client_address(peer, forwarded, parse_proxies(tuple(settings.TRUSTED_PROXIES))))


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    """Tells allauth's own limits where a request came from."""

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request)


def _parse(word: str) -> Address | None:
    """Read an address as proxies write it: bare, with a port, or in brackets with one."""
    text = word.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        # Without a zone, which says something on the host alone that wrote it.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
