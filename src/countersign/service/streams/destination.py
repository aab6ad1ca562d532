"""Where a webhook may go: judged by the very address that is then connected to, so that no name leads elsewhere in between."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SHARED = ipaddress.ip_network("100.64.0.0/10")


class Forbidden(Exception):
    """A destination to which nothing is sent. The message names the host and no path."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """One receiver's address.

    Attributes:
        url: `https://…`, or `http://…` with an address of the loopback.
        allow_private: let it be in a private network. Link-local addresses, where clouds keep their metadata, never are.
    """

    url: str
    allow_private: bool = False

    @property
    def is_secure(self) -> bool:
        """Say whether it is spoken to by TLS."""
        return urlsplit(self.url).scheme == "https"

    @property
    def host(self) -> str:
        """The host as the URL names it."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port."""
        return urlsplit(self.url).port or (443 if self.is_secure else 80)

    @property
    def path(self) -> str:
        """What is asked for at the host."""
        return urlsplit(self.url).path or "/"

    def pinned(self, resolve: Resolver | None = None) -> Sequence[str]:
        """Return the addresses to connect to, once all addresses of the host were judged.

        Raises:
            Forbidden: no address, or one where nothing may be sent.
        """
        try:
            found = (resolve or _resolve)(self.host, self.port)
        except OSError as error:
            raise Forbidden(f"{self.host} has no address") from error
        if not found:
            raise Forbidden(f"{self.host} has no address")
        for text in found:
            self._judge(_plain(ipaddress.ip_address(text.partition("%")[0])))
        return found

    def _judge(self, address: Address) -> None:
        if self._is_named_loopback() and address.is_loopback:
            return
        if not self.is_secure:
            raise Forbidden(f"{self.host} is not this machine, and without TLS nothing is sent elsewhere")
        if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_loopback:
            raise Forbidden(f"{self.host} leads to {address}, where nothing is sent")
        if address.is_private or address.is_reserved or not address.is_global or address in _SHARED:
            if self.allow_private and not address.is_reserved:
                return
            raise Forbidden(f"{self.host} leads to {address}, which is private; allow_private lets it")

    def _is_named_loopback(self) -> bool:
        """Say whether the URL itself names the loopback; a name that only resolves to it was not meant by who wrote it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address only wraps: it is where packets go in the end."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))
