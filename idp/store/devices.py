"""Requests of devices in the database (RFC 8628). Codes are kept as hashes only.

A user code is short, so it is kept as an HMAC under a key of this service: who reads the table
still cannot find a code by trying all of them.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, or_, select, update

from foundation.database import Tx
from idp.models import device_codes
from idp.protocol.authorizations import Authorization


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """What a device asks for; made by `grants.device_code.check_authorization` only."""

    client_id: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredDevice:
    """A device that waits. `person_id` is whoever typed its code first ("" until then)."""

    device_hash: str
    request: DeviceRequest
    person_id: str
    authorization: Authorization | None
    denied: bool
    interval: timedelta
    polled_at: datetime | None
    expires_at: datetime

    def is_online_in(self, sid: str) -> bool:
        """Whether a session allowed this device, and only for as long as it lasts."""
        given = self.authorization
        return given is not None and given.sid == sid and given.ends_with_session


def add(
    tx: Tx,
    device_hash: str,
    user_code_hash: str,
    request: DeviceRequest,
    interval: int,
    expires_at: datetime,
) -> None:
    """Raises `IntegrityError` when the user code is in use."""
    tx.execute(
        insert(device_codes).values(
            device_hash=device_hash,
            user_code_hash=user_code_hash,
            client_id=request.client_id,
            request=msgspec.json.encode(request).decode(),
            interval_seconds=interval,
            expires_at=expires_at,
        )
    )


def devices(tx: Tx, hashes: Collection[str]) -> dict[str, StoredDevice]:
    """Requests by the hash of their device code, expired ones included."""
    rows = tx.execute(select(device_codes).where(device_codes.c.device_hash.in_(hashes)))
    return {row.device_hash: _device(row) for row in rows}


def by_user_code(tx: Tx, user_code_hash: str, now: datetime) -> StoredDevice | None:
    """The device that shows this code, while it may still be answered."""
    table = device_codes
    query = select(table).where(table.c.user_code_hash == user_code_hash, table.c.expires_at > now)
    row = tx.execute(query).first()
    return None if row is None else _device(row)


def claim(tx: Tx, device_hash: str, person_id: str) -> bool:
    """Bind an unanswered request to the person who typed its code; False: it is another's."""
    table = device_codes
    mine = (
        update(table)
        .where(
            table.c.device_hash == device_hash,
            or_(table.c.person_id.is_(None), table.c.person_id == person_id),
            table.c.authorization.is_(None),
            table.c.denied_at.is_(None),
        )
        .values(person_id=person_id)
    )
    return tx.execute(mine).rowcount == 1


def answer(tx: Tx, device_hash: str, authorization: Authorization | None, now: datetime) -> None:
    """The person said yes (with this authorization) or no."""
    said = {"denied_at": now} if authorization is None else {"authorization": _json(authorization)}
    table = device_codes
    tx.execute(update(table).where(table.c.device_hash == device_hash).values(**said))


def polled(tx: Tx, device_hash: str, now: datetime, more: int) -> None:
    """The device asked at `now`; from now on it waits `more` seconds longer."""
    table = device_codes
    waits = {"polled_at": now, "interval_seconds": table.c.interval_seconds + more}
    tx.execute(update(table).where(table.c.device_hash == device_hash).values(**waits))


def take(tx: Tx, hashes: Collection[str]) -> frozenset[str]:
    """Remove these requests; answers those that were still there, and still allowed."""
    if not hashes:
        return frozenset()
    table = device_codes
    allowed = (table.c.device_hash.in_(hashes), table.c.denied_at.is_(None))
    taken = delete(table).where(*allowed).returning(table.c.device_hash)
    return frozenset(tx.execute(taken).scalars())


def take_back(tx: Tx, person_id: str, which: Callable[[StoredDevice], bool], now: datetime) -> None:
    """A person's yes becomes a no for those devices that did not fetch their tokens yet."""
    table = device_codes
    waiting = (table.c.person_id == person_id, table.c.authorization.is_not(None))
    found = [_device(row) for row in tx.execute(select(table).where(*waiting))]
    for device in filter(which, found):
        answer(tx, device.device_hash, None, now)


def _json(authorization: Authorization) -> str:
    return msgspec.json.encode(authorization).decode()


def _device(row: Row[Any]) -> StoredDevice:
    given = row.authorization
    return StoredDevice(
        row.device_hash,
        msgspec.json.decode(row.request, type=DeviceRequest),
        row.person_id or "",
        None if given is None else msgspec.json.decode(given, type=Authorization),
        row.denied_at is not None,
        timedelta(seconds=row.interval_seconds),
        row.polled_at,
        row.expires_at,
    )
