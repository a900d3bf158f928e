"""A device without a keyboard gets tokens (RFC 8628): the person types its code somewhere else.

- `check_authorization` reads what the device asks for; `check`, `judge` and `redeem` are its polls.
- A poll that comes too early slows the device down by five seconds, for good (§3.5).
- What was allowed is handed out once: the DELETE … RETURNING decides, across processes.
- How the person finds and answers a request is in `idp/token/devices.py`.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from foundation.database import Database, Tx
from foundation.encryption import FieldCipher
from foundation.ids import uuid7
from idp.models import Authorization, Client, Family
from idp.protocol import resources
from idp.protocol.claims import claims_of
from idp.protocol.errors import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    SlowDown,
    UnauthorizedClient,
)
from idp.protocol.syntax import SCOPE
from idp.store import devices, families, people_and_sessions
from idp.store.devices import DeviceRequest, StoredDevice
from idp.token.grants import parameter, refresh
from idp.token.tokens import ACCESS_TOKEN_LIFETIME

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL = 5  # seconds between two polls, and what a hasty one adds (RFC 8628 §3.5)
LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Poll:
    """A well-formed token request with a device code, by an authenticated client."""

    client: Client
    device_hash: str
    now: datetime
    jkt: str = ""  # of the DPoP proof that came along


class DeviceCodeVerdict(StrEnum):
    """What `judge` can find; the text is the error description."""

    GOOD = ""
    PENDING = "the person has not answered yet"
    SLOW = "polled too early; wait five seconds more from now on"
    DENIED = "the person did not agree"
    EXPIRED = "the device code has expired; begin again"
    UNKNOWN = "the device code is unknown or was used before"
    FOREIGN = "the device code was issued to another client"


_ERRORS: Mapping[DeviceCodeVerdict, type[OAuthError]] = {
    DeviceCodeVerdict.PENDING: AuthorizationPending,
    DeviceCodeVerdict.SLOW: SlowDown,
    DeviceCodeVerdict.DENIED: AccessDenied,
    DeviceCodeVerdict.EXPIRED: ExpiredToken,
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """A device's request that became a family."""

    family: Family
    refresh_token: str | None


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """No tokens, or not yet."""

    verdict: DeviceCodeVerdict

    def error(self) -> OAuthError:
        return _ERRORS.get(self.verdict, InvalidGrant)(self.verdict.value)


def check_authorization(form: Mapping[str, str], client: Client, now: datetime) -> DeviceRequest:
    """May this client ask for this? (RFC 8628 §3.1)

    1. It is registered for the grant.                       RFC 6749 §5.2
    2. Scopes are within the registration and its purpose.   RFC 6749 §3.3
    3. The resource is one it is registered for.             RFC 8707 §2
    """
    # 1.
    if GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("the client is not registered for the device grant")
    # 2.
    text = form.get("scope", "")
    if not SCOPE.match(text):
        raise InvalidScope("scope is missing, or not a space-separated list")
    scopes = tuple(dict.fromkeys(text.split(" ")))
    for scope in scopes:
        if scope not in client.scopes:
            raise InvalidScope(f"the client is not registered for the scope {scope}")
    for claim in claims_of(scopes):
        if claim not in client.claims:
            raise InvalidScope(f"the client's registered purpose does not cover {claim}")
    # 3.
    asked = resources.asked(form)
    if not resources.registered(asked, client):
        raise InvalidTarget("the client is not registered for this resource")
    return DeviceRequest(client.client_id, scopes, asked, now)


def check(
    form: Mapping[str, str], client: Client, confirmation: Mapping[str, str], now: datetime
) -> Poll:
    """Is the poll well formed, and may this client make it? (RFC 8628 §3.4)"""
    if GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("the client is not registered for the device grant")
    jkt = confirmation.get("jkt", "")
    return Poll(client, people_and_sessions.sha256(parameter(form, "device_code")), now, jkt)


def judge(poll: Poll, device: StoredDevice | None) -> DeviceCodeVerdict:
    """What does the device get? (RFC 8628 §3.5)

    1. The code exists and was issued to this client.
    2. Its time is not over.
    3. The device kept to its interval; a hasty device learns nothing.
    4. The person has answered, and said yes.
    """
    # 1.
    if device is None:
        return DeviceCodeVerdict.UNKNOWN
    if not secrets.compare_digest(device.request.client_id, poll.client.client_id):
        return DeviceCodeVerdict.FOREIGN
    # 2.
    if device.expires_at <= poll.now:
        return DeviceCodeVerdict.EXPIRED
    # 3.
    if device.polled_at is not None and poll.now < device.polled_at + device.interval:
        return DeviceCodeVerdict.SLOW
    # 4.
    if device.denied:
        return DeviceCodeVerdict.DENIED
    return DeviceCodeVerdict.PENDING if device.authorization is None else DeviceCodeVerdict.GOOD


def redeem(database: Database, tx: Tx, polls: Sequence[Poll]) -> list[Allowed | NotAllowed]:
    """Apply a batch of polls. The first of several with the same code is the one that counts."""
    stored = devices.devices(tx, {poll.device_hash for poll in polls})
    verdicts = []
    seen: set[str] = set()
    for poll in polls:
        hasty = poll.device_hash in seen
        verdict = DeviceCodeVerdict.SLOW if hasty else judge(poll, stored.get(poll.device_hash))
        seen.add(poll.device_hash)
        verdicts.append(verdict)
    _remember(tx, polls, verdicts)
    good = {
        p.device_hash for p, v in zip(polls, verdicts, strict=True) if v is DeviceCodeVerdict.GOOD
    }
    taken = devices.take(tx, good)
    results: list[Allowed | NotAllowed] = []
    for poll, verdict in zip(polls, verdicts, strict=True):
        device = stored.get(poll.device_hash)
        authorization = device.authorization if device else None
        if (
            verdict is DeviceCodeVerdict.GOOD
            and poll.device_hash in taken
            and authorization is not None
        ):
            results.append(_grow(database.cipher, poll, authorization))
        else:
            results.append(NotAllowed(verdict or DeviceCodeVerdict.UNKNOWN))
    for result in results:
        if isinstance(result, Allowed):
            families.add_family(tx, result.family)
    return results


def _remember(tx: Tx, polls: Sequence[Poll], verdicts: Sequence[DeviceCodeVerdict]) -> None:
    for poll, verdict in zip(polls, verdicts, strict=True):
        if verdict in (DeviceCodeVerdict.PENDING, DeviceCodeVerdict.SLOW):
            more = INTERVAL if verdict is DeviceCodeVerdict.SLOW else 0
            devices.polled(tx, poll.device_hash, poll.now, more)


def _grow(cipher: FieldCipher, poll: Poll, authorization: Authorization) -> Allowed:
    offline = "openid" not in authorization.scopes or "offline_access" in authorization.scopes
    may_refresh = refresh.GRANT_TYPE in poll.client.grant_types and offline
    jkt = "" if poll.client.confidential else poll.jkt  # RFC 9449 §5
    lifetime = ACCESS_TOKEN_LIFETIME + timedelta(minutes=5)
    family = Family(
        id=uuid7(poll.now),
        client_id=poll.client.client_id,
        authorization=replace(authorization, jkt=jkt),
        code_hash=poll.device_hash,
        expires_at=poll.now + (refresh.FAMILY_LIFETIME if may_refresh else lifetime),
        issued_at=poll.now,
        refresh_number=1 if may_refresh else 0,
    )
    return Allowed(family, refresh.live_token(cipher, family) if may_refresh else None)
