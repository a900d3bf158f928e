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

from foundation.database import Tx
from foundation.encryption import FieldCipher
from foundation.ids import uuid7
from idp.models import Client
from idp.protocol import resources, scopes
from idp.protocol.authorizations import Authorization, Family
from idp.protocol.errors import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    InvalidTarget,
    OAuthError,
    SlowDown,
)
from idp.protocol.syntax import parameter
from idp.store import devices, digests, families
from idp.store.devices import DeviceRequest, StoredDevice
from idp.token.grants import refresh
from idp.token.grants.grant_type import GrantType, NotRedeemed
from idp.token.grants.person_claims import with_claims
from idp.token.tokens import ACCESS_TOKEN_LIFETIME, Grant

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


def check_authorization(form: Mapping[str, str], client: Client, now: datetime) -> DeviceRequest:
    """May this client ask for this? (RFC 8628 §3.1)

    1. It is registered for the grant.                       RFC 6749 §5.2
    2. Scopes are within the registration and its purpose.   RFC 6749 §3.3: `scopes`
    3. The resource is one it is registered for.             RFC 8707 §2
    """
    # 1.
    DeviceCode.check_registered(client)
    # 2.
    wanted = scopes.about_a_person(form.get("scope", ""), client)
    # 3.
    asked = resources.asked(form)
    if not resources.registered(asked, client):
        raise InvalidTarget("the client is not registered for this resource")
    return DeviceRequest(client.client_id, wanted, asked, now)


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


class DeviceCode(GrantType[Poll]):
    """A device asks again and again until its person has answered."""

    grant_type = "urn:ietf:params:oauth:grant-type:device_code"
    label = "the device grant"
    parameters = ("device_code",)
    refreshable = True

    def check(
        self,
        form: Mapping[str, str],
        client: Client,
        confirmation: Mapping[str, str],
        now: datetime,
    ) -> Poll:
        """Is the poll well formed? (RFC 8628 §3.4)"""
        jkt = confirmation.get("jkt", "")
        return Poll(client, digests.sha256(parameter(form, "device_code")), now, jkt)

    def redeem(self, tx: Tx, requests: Sequence[Poll]) -> list[Grant | NotRedeemed]:
        """Apply a batch. The first of several polls with the same code is the one that counts."""
        stored = devices.devices(tx, {poll.device_hash for poll in requests})
        verdicts = _judged(requests, stored)
        _remember(tx, requests, verdicts)
        judged = list(zip(requests, verdicts, strict=True))
        good = {poll.device_hash for poll, verdict in judged if verdict is DeviceCodeVerdict.GOOD}
        taken = devices.take(tx, good)
        results: list[Grant | NotRedeemed] = []
        for poll, verdict in judged:
            device = stored.get(poll.device_hash)
            authorization = device.authorization if device else None
            if (
                verdict is DeviceCodeVerdict.GOOD
                and poll.device_hash in taken
                and authorization is not None
            ):
                family = _grown(poll, authorization)
                families.add_family(tx, family)
                results.append(_granted(self._database.cipher, poll, family))
            else:
                refused = verdict or DeviceCodeVerdict.UNKNOWN
                results.append(NotRedeemed(_ERRORS.get(refused, InvalidGrant)(refused.value)))
        return with_claims(tx, results, requests[0].now)


def _judged(polls: Sequence[Poll], stored: Mapping[str, StoredDevice]) -> list[DeviceCodeVerdict]:
    verdicts = []
    seen: set[str] = set()
    for poll in polls:
        hasty = poll.device_hash in seen
        verdict = DeviceCodeVerdict.SLOW if hasty else judge(poll, stored.get(poll.device_hash))
        seen.add(poll.device_hash)
        verdicts.append(verdict)
    return verdicts


def _remember(tx: Tx, polls: Sequence[Poll], verdicts: Sequence[DeviceCodeVerdict]) -> None:
    for poll, verdict in zip(polls, verdicts, strict=True):
        if verdict in (DeviceCodeVerdict.PENDING, DeviceCodeVerdict.SLOW):
            more = INTERVAL if verdict is DeviceCodeVerdict.SLOW else 0
            devices.polled(tx, poll.device_hash, poll.now, more)


def _grown(poll: Poll, authorization: Authorization) -> Family:
    may_refresh = refresh.may_follow(poll.client, authorization)
    jkt = "" if poll.client.confidential else poll.jkt  # RFC 9449 §5
    lifetime = ACCESS_TOKEN_LIFETIME + timedelta(minutes=5)
    return Family(
        id=uuid7(poll.now),
        client_id=poll.client.client_id,
        authorization=replace(authorization, jkt=jkt),
        code_hash=poll.device_hash,
        expires_at=(
            refresh.ends_at(authorization, poll.now) if may_refresh else poll.now + lifetime
        ),
        issued_at=poll.now,
        refresh_number=1 if may_refresh else 0,
    )


def _granted(cipher: FieldCipher, poll: Poll, family: Family) -> Grant:
    authorization = family.authorization
    return Grant(
        client=poll.client,
        scopes=authorization.scopes,
        resources=authorization.resources,
        family=family.id,
        authorization=authorization,
        refresh_token=refresh.live_token(cipher, family) if family.refresh_number else None,
    )
