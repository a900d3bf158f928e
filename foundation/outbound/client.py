"""Requests to addresses that somebody else told us (attack 29, OWASP SSRF).

A client registers where its keys are and where it wants to be told things. Whoever can write such
an address must not be able to make this process talk to itself, its database or a cloud's metadata.

- https only; http only to this very machine, and only if this machine is allowed at all.
- The name is resolved once; every address it has must be public or in a network the operator
  allows; the connection goes to one of exactly those addresses (no DNS rebinding). The certificate
  is still checked against the name.
- Redirects are not followed. Answers are read up to a limit, which also holds for what a
  compressed one becomes; "identity" is asked for, gzip and deflate are understood, no other coding.
- Name, connection, TLS, request and answer share one deadline (attack 52).
- No proxy, cookie or credential of the environment is used.

    answer = Outbound().get("https://client.example/jwks.json")
"""

import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import httpx

from foundation.errors import YinzhengError
from foundation.outbound.coding import NotDecoded, decoded
from foundation.outbound.deadline import (
    Deadline,
    Exchanges,
    Lookups,
    NoAnswer,
    Received,
    Resolve,
    system_resolver,
)

__all__ = ["Outbound", "OutboundError", "OutboundFailed", "OutboundRefused", "system_resolver"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SECONDS: Final = 5.0
LONGEST_ANSWER: Final = 65_536
# Prefixes that carry an IPv4 address inside: reaching them may reach that address.
_TRANSLATED: Final = tuple(
    ipaddress.ip_network(each)
    for each in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)


class OutboundError(YinzhengError):
    """Nothing usable came back."""

    code = "outbound_failed"
    status = 502


class OutboundRefused(OutboundError):
    """The address is one that is not talked to; no connection was made."""

    code = "outbound_refused"


class OutboundFailed(OutboundError):
    """No connection, no answer in time, or too long an answer."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that may be talked to, and the one address it was resolved to."""

    scheme: str
    host: str
    address: str
    port: int
    target: str

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}{self.target}"

    @property
    def public_url(self) -> str:
        """The URL by its name, in one spelling: what the other side knows itself by."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        standard = {"https": 443, "http": 80}[self.scheme]
        return host if self.port == standard else f"{host}:{self.port}"


@cache
def _public_authorities() -> ssl.SSLContext:
    """Those of this machine. Reading them takes a tenth of a second: once a process is enough."""
    return ssl.create_default_context()


class Outbound:
    """The way out. `allowed` are networks that are not public but may be talked to."""

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        resolve: Resolve = system_resolver,
        trust: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._allowed = tuple(allowed)
        self._lookups = Lookups(resolve)
        self._trust = trust or _public_authorities()
        self._seconds = seconds

    def get(self, url: str, *, accept: str = "application/json") -> Received:
        """A document, decoded when it was compressed. Raises `OutboundRefused`, `OutboundFailed`.

        A status other than 200 is an answer too, and its body is left as it came.
        """
        received = self._send("GET", url, {"accept": accept})
        if received.status != 200:
            return received
        coding = received.headers.get("content-encoding", "")
        try:
            return replace(received, body=decoded(received.body, coding, LONGEST_ANSWER))
        except NotDecoded as problem:
            raise OutboundFailed(
                f"the answer cannot be read: {problem}; received: {received.described}"
            ) from None

    def post(self, url: str, form: Mapping[str, str]) -> Received:
        """A form (application/x-www-form-urlencoded). Raises as `get` does."""
        return self._send("POST", url, {}, form=form)

    def post_content(self, url: str, content: bytes, headers: Mapping[str, str]) -> Received:
        """These very bytes, under these headers. Raises as `get` does."""
        return self._send("POST", url, headers, content=content)

    def destination(self, url: str, deadline: Deadline | None = None) -> Destination:
        """Where a request to `url` would go. Raises `OutboundRefused`, and `OutboundFailed` when
        the name service does not answer by then.

        1. An absolute https URL without user information or fragment; http for loopback.
        2. The name resolves, once.
        3. Every address of it is public or allowed: one bad address spoils the name.
        """
        # 1.
        scheme, host, port, target = parse_url(url)
        # 2.
        try:
            by = deadline or Deadline(self._seconds)
            found = self._lookups.addresses(host, port, by)
            addresses = [ipaddress.ip_address(each) for each in found]
        except NoAnswer as problem:
            raise OutboundFailed(str(problem)) from None
        except (OSError, ValueError, UnicodeError):
            raise OutboundRefused("the host name does not resolve") from None
        # 3.
        if not addresses or not all(self._may_talk_to(each) for each in addresses):
            raise OutboundRefused("the host is not on a network that may be talked to")
        if scheme == "http" and not all(each.is_loopback for each in addresses):
            raise OutboundRefused("http is only for this very machine; use https")
        return Destination(scheme, host, str(addresses[0]), port, target)

    def _may_talk_to(self, address: Address) -> bool:
        mapped = getattr(address, "ipv4_mapped", None) or address
        if any(mapped in network for network in self._allowed if network.version == mapped.version):
            return True
        translated = any(
            mapped in network for network in _TRANSLATED if network.version == mapped.version
        )
        return mapped.is_global and not mapped.is_multicast and not translated

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Received:
        deadline = Deadline(self._seconds)
        where = self.destination(url, deadline)
        ours = {"host": where.authority, "user-agent": "yinzheng", "accept-encoding": "identity"}
        named = {"sni_hostname": where.host} if where.scheme == "https" else {}
        try:
            request = httpx.Request(
                method,
                where.url,
                headers={**headers, **ours},
                data=form,
                content=content,
                extensions=named,
            )
            # A pool of its own: a connection is never used for another name at the same address.
            with Exchanges(self._trust) as exchanges:
                return exchanges.send(request, deadline, longest=LONGEST_ANSWER)
        except NoAnswer as problem:
            raise OutboundFailed(str(problem)) from None
        except httpx.InvalidURL:
            raise OutboundRefused("this is not a URL") from None


def place_of(url: str) -> str:
    """The server that a URL is on: scheme, host and port.

    Fit for a log (paths and queries may hold secrets), and as the lock of jobs that ask it: one
    after another, so that a slow server keeps one of us waiting and not all.
    """
    try:
        scheme, host, port, _ = parse_url(url)
    except OutboundRefused:
        return "not an address"
    return f"{scheme}://{host}:{port}"


def parse_url(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and target of a URL that could be talked to. Raises `OutboundRefused`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise OutboundRefused("this is not a URL") from None
    if not url.isascii() or any(c <= " " or c == "\\" for c in url):
        raise OutboundRefused("the URL has characters that a URL cannot have")
    if parts.scheme not in ("https", "http") or not host:
        raise OutboundRefused("an absolute https URL is needed")
    if "@" in parts.netloc or "#" in url:
        raise OutboundRefused("the URL has user information or a fragment")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or {"https": 443, "http": 80}[parts.scheme], target
