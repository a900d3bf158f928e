"""What a client keeps at addresses of its own: its keys (`jwks_uri`), its sector, its logo.

All come through `foundation.outbound.client`, which talks to no inside of ours (attack 29), and
never inside a transaction.

- A sector document is read once, at registration (OIDC Core §8.1); `Vouched` says that it was.
- Keys are read when they are needed and kept for five minutes. A kid we do not know makes us look
  again, at most every ten seconds, so a client rotates without asking us (OIDC Core §10.1.1). While
  its address is out of order, the keys we know are good for an hour.
- What cannot be used is told with what came instead (status, content type, coding, the first thing
  that is wrong): to whoever registers, and in the log to the operator.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import structlog

from foundation.bounded import Bounded
from foundation.clock import Clock
from foundation.errors import FieldError
from foundation.outbound import (
    Outbound,
    OutboundError,
    Received,
    place_of,
)
from idp.clients import presentation
from idp.models import Client
from idp.protocol.errors import InvalidClientMetadata
from keys import InvalidJws
from keys.encoding.jose import is_jwk, parse_object

FRESH: Final = timedelta(minutes=5)
USABLE: Final = timedelta(hours=1)
BETWEEN_TRIES: Final = timedelta(seconds=10)
MOST_KEYS: Final = 50
THREADS: Final = 8

Jwks = Mapping[str, Any]

log = structlog.get_logger("idp")


@dataclass(frozen=True, slots=True)
class Vouched:
    """A client whose addresses were looked at. Only `RemoteMetadata.vouch` makes one."""

    client: Client
    logo: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    jwks: Jwks | None
    read_at: datetime
    tried_at: datetime


class RemoteMetadata:
    """Reads what clients keep elsewhere."""

    def __init__(self, outbound: Outbound, clock: Clock) -> None:
        self._outbound = outbound
        self._clock = clock
        self._known: Bounded[str, _Known] = Bounded(10_000)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="remote-metadata")
        self._under_way: dict[str, asyncio.Future[Jwks | None]] = {}

    def vouch(self, client: Client) -> Vouched:
        """Look at the addresses a client is to be registered with. May take seconds.

        1. The sector document lists every redirect URI.       OIDC Core §8.1, Registration §5
        2. The key set can be reached and is one.              RFC 7591 §2
        3. The logo is a picture; it is drawn anew.            RFC 7591 §2, §5
        Raises `InvalidClientMetadata`.
        """
        # 1.
        if client.sector_identifier_uri:
            try:
                received = self._document(client.sector_identifier_uri)
            except OutboundError as problem:
                raise _refused("sector_identifier_uri", problem.detail) from None
            check_sector(received.body, client, received.described)
        # 2.
        if client.jwks_uri:
            try:
                self._read(client.jwks_uri)
            except OutboundError as problem:
                raise _refused("jwks_uri", problem.detail) from None
        # 3.
        if not client.logo_uri:
            return Vouched(replace(client, logo=""))
        try:
            logo = presentation.drawn(self._document(client.logo_uri, presentation.ACCEPTED).body)
        except OutboundError as problem:
            raise _refused("logo_uri", problem.detail) from None
        return Vouched(replace(client, logo=logo.digest), logo.content)

    def jwks(self, client: Client, kid: object = None) -> Jwks | None:
        """The client's keys; `kid` is the one that is needed. None when they cannot be had."""
        if not client.jwks_uri:
            return client.jwks
        if (known := self._remembered(client.jwks_uri, kid)) is not None:
            return known.jwks
        return self._refreshed(client.jwks_uri)

    async def jwks_later(self, client: Client, kid: object = None) -> Jwks | None:
        """`jwks` for the fast lane: keys that are not at hand are waited for on a thread, once for
        all who wait for the same address, so that a slow one holds up nobody else."""
        if not client.jwks_uri:
            return client.jwks
        if (known := self._remembered(client.jwks_uri, kid)) is not None:
            return known.jwks
        reading = self._under_way.get(client.jwks_uri)
        loop = asyncio.get_running_loop()
        if reading is None or reading.get_loop() is not loop:
            reading = loop.run_in_executor(self._threads, self._refreshed, client.jwks_uri)
            self._under_way[client.jwks_uri] = reading
            reading.add_done_callback(lambda _: self._under_way.pop(client.jwks_uri, None))
        return await asyncio.shield(reading)

    def close(self) -> None:
        """Drop reads that have not begun and end the threads without waiting for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _remembered(self, uri: str, kid: object) -> _Known | None:
        """What we know, if it answers the question or it is too early to ask again."""
        known, now = self._known.get(uri), self._clock()
        if known is None:
            return None
        has_it = known.jwks is not None and (kid is None or kid in _kids(known.jwks))
        if has_it and now - known.read_at < FRESH:
            return known
        return known if now - known.tried_at < BETWEEN_TRIES else None

    def _refreshed(self, uri: str) -> Jwks | None:
        now, before = self._clock(), self._known.get(uri)
        try:
            known = _Known(self._read(uri), now, now)
        except OutboundError as problem:
            log.warning("client_keys_unread", address=place_of(uri), reason=problem.detail)
            if before is not None and now - before.read_at < USABLE:
                known = replace(before, tried_at=now)
            else:
                known = _Known(None, now, now)
        self._known.put(uri, known)
        return known.jwks

    def _read(self, uri: str) -> Jwks:
        """The key set at an address. Raises `OutboundError`, which says what came instead."""
        received = self._document(uri)
        try:
            jwks = parse_object(received.body)
        except InvalidJws as problem:
            raise _unusable(problem.detail, received) from None
        keys = jwks.get("keys")
        if not isinstance(keys, list):
            raise _unusable("it is not a JWK set: it has no list named keys", received)
        if len(keys) > MOST_KEYS:
            raise _unusable(f"it is a JWK set of more than {MOST_KEYS} keys", received)
        return {"keys": [jwk for jwk in keys if is_jwk(jwk)]}

    def _document(self, uri: str, accept: str = "application/json") -> Received:
        received = self._outbound.get(uri, accept=accept)
        if received.status != 200:
            raise _unusable("it does not answer with 200", received)
        return received


def check_sector(document: bytes, client: Client, received: str = "") -> None:
    """OIDC Core §8.1: a JSON array that names every redirect URI of the client.

    `received` describes the answer that the document came with. Raises `InvalidClientMetadata`.
    """
    try:
        listed = orjson.loads(document)
    except orjson.JSONDecodeError as problem:
        wrong = f"is not JSON: {problem.msg} at character {problem.pos}"
        raise _refused("sector_identifier_uri", _with(wrong, received)) from None
    if not isinstance(listed, list):
        raise _refused("sector_identifier_uri", _with("is not a list", received))
    missing = [uri for uri in client.redirect_uris if uri not in listed]
    if missing:
        wrong = f"does not list {missing[0][:200]}"
        raise _refused("sector_identifier_uri", _with(wrong, received))


def _unusable(wrong: str, received: Received) -> OutboundError:
    return OutboundError(_with(wrong, received.described))


def _with(wrong: str, received: str) -> str:
    return f"{wrong}; received: {received}" if received else wrong


def _kids(jwks: Jwks) -> set[object]:
    return {jwk.get("kid") for jwk in jwks["keys"]}


def _refused(field: str, detail: str) -> InvalidClientMetadata:
    log.warning("client_address_refused", field=field, reason=detail)
    return InvalidClientMetadata(
        f"{field} of the registration: {detail}",
        errors=[FieldError(f"/{field}", "address", detail)],
        next_step="correct what is at the address, then register again",
    )
