"""Devices that sign in through a person's other screen (RFC 8628): ask, find, answer.

- A user code is eight letters without vowels and without anything that looks like something else
  (§6.1), and lives ten minutes.
- Guessing is counted on the account that guesses, by the one counter that also counts wrong
  passwords (attack 31); a right code takes back only its own count.
- A code belongs to the first person who types it. Somebody who was sent a code by a stranger sees
  whose program asks and what for, and has to say yes to that (attack 32, §5.4).
- A person is asked every time, whatever they agreed to before: the code may not be theirs.
"""

import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy.exc import IntegrityError

from foundation.batching import GroupWriter, HotRequest
from foundation.clock import Clock
from foundation.database import Database, Tx, is_unique_violation
from idp.clients.service import Clients
from idp.models import Client, Session, Texts
from idp.protocol.authorizations import Agreement, Authorization
from idp.protocol.claims import CLAIMS, bundled, claims_of, released
from idp.protocol.messages import DeviceResponse
from idp.store import consents, devices, digests, sessions
from idp.store.attempts import Attempts
from idp.store.devices import DeviceRequest, StoredDevice
from idp.token.grants import device_code
from ledger import Entry, Ledger

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
CODE_LENGTH: Final = 8
PAGE: Final = "/device"
_NOISE: Final = re.compile(r"[\s\-_.·]+")


@dataclass(frozen=True, slots=True)
class DeviceClaim:
    """One kind of personal data the device's program would learn."""

    name: str
    label: Texts


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A waiting device as the page shows it to the person who typed its code."""

    user_code: str
    client: Client
    scopes: tuple[str, ...]
    claims: tuple[DeviceClaim, ...]
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DeviceRejected:
    """Wrong, expired, answered and somebody else's codes all look the same."""

    reason: Literal["not_signed_in", "unknown_code", "too_many_attempts"]
    retry_after: int = 0


@dataclass(frozen=True, slots=True)
class DeviceAnswered:
    """The device will hear it at its next poll."""

    client: Client
    allowed: bool


class Devices:
    """Device authorization requests and their answers."""

    def __init__(
        self, database: Database, ledger: Ledger, clients: Clients, clock: Clock, issuer: str
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._clock = clock
        self._issuer = issuer
        self._attempts = Attempts(database)
        self._writer: GroupWriter[DeviceRequest, tuple[str, str]] = GroupWriter(
            database, lambda tx, requests: [self._begin(tx, each) for each in requests]
        )

    async def begin(self, request: HotRequest, form: Mapping[str, str]) -> DeviceResponse:
        """Answer a device authorization request (RFC 8628 §3.1, §3.2)."""
        client = await self._clients.authenticate(request, form)
        asked = device_code.check_authorization(form, client, self._clock())
        code, user_code = await self._writer.submit(asked)
        page = f"{self._issuer}{PAGE}"
        return {
            "device_code": code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={user_code}",
            "expires_in": int(device_code.LIFETIME.total_seconds()),
            "interval": device_code.INTERVAL,
        }

    def look_up(self, session_id: str | None, user_code: str) -> DeviceView | DeviceRejected:
        """The device that shows `user_code`, bound from now on to the person of this session."""
        with self._database.write() as tx:
            session = self._session(tx, session_id)
            if session is None:
                return DeviceRejected("not_signed_in")
            found = self._find(tx, session, user_code)
            if isinstance(found, DeviceRejected):
                return found
            device, client = found
            return DeviceView(
                user_code=shown(normal(user_code)),
                client=client,
                scopes=device.request.scopes,
                claims=tuple(
                    DeviceClaim(name, CLAIMS[name].label)
                    for name in claims_of(device.request.scopes)
                ),
                asked_at=device.request.created_at,
                expires_at=device.expires_at,
            )

    def answer(
        self,
        session_id: str | None,
        user_code: str,
        allowed: bool,
        claims: Collection[str] | None = None,
    ) -> DeviceAnswered | DeviceRejected:
        """The person's yes or no. `claims` are those they allow (None: all that were asked)."""
        now = self._clock()
        with self._database.write() as tx:
            session = self._session(tx, session_id)
            if session is None:
                return DeviceRejected("not_signed_in")
            found = self._find(tx, session, user_code)
            if isinstance(found, DeviceRejected):
                return found
            device, client = found
            agreed = frozenset(claims_of(device.request.scopes))
            if claims is not None:
                agreed &= frozenset(claims)
            authorization = authorization_of(device.request, client, session, agreed)
            devices.answer(tx, device.device_hash, authorization if allowed else None, now)
            if allowed:
                self._remember(tx, session, client, device.request, agreed, now)
            self._append(tx, session, client, allowed, agreed if allowed else (), now)
            return DeviceAnswered(client, allowed)

    def close(self) -> None:
        """Commit what was given, then stop."""
        self._writer.close()

    def _begin(self, tx: Tx, request: DeviceRequest) -> tuple[str, str]:
        """Store a request under fresh codes. A user code that is in use is drawn again."""
        code = secrets.token_urlsafe(32)
        expires_at = request.created_at + device_code.LIFETIME
        while True:
            user_code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
            hashes = digests.sha256(code), self._hash(user_code)
            try:
                with tx.begin_nested():
                    devices.add(tx, *hashes, request, device_code.INTERVAL, expires_at)
            except IntegrityError as error:
                if not is_unique_violation(error):
                    raise
            else:
                return code, shown(user_code)

    def _session(self, tx: Tx, session_id: str | None) -> Session | None:
        return sessions.session(tx, session_id, self._clock(), hold=True)

    def _find(
        self, tx: Tx, session: Session, user_code: str
    ) -> tuple[StoredDevice, Client] | DeviceRejected:
        """Find and claim. Counted before looking (see `Attempts.begin`)."""
        now = self._clock()
        key = self._attempts.key(session.person.username)
        if wait := self._attempts.begin(tx, key, now):
            return DeviceRejected("too_many_attempts", wait)
        device = devices.by_user_code(tx, self._hash(normal(user_code)), now)
        client = self._clients.find(tx, device.request.client_id) if device else None
        if device is None or client is None:
            return DeviceRejected("unknown_code")
        if not devices.claim(tx, device.device_hash, session.person.id):
            return DeviceRejected("unknown_code")
        self._attempts.take_back(tx, key)
        return device, client

    def _hash(self, user_code: str) -> str:
        return self._database.cipher.blind_index(user_code, "device_codes.user_code_hash")

    def _remember(
        self,
        tx: Tx,
        session: Session,
        client: Client,
        request: DeviceRequest,
        agreed: frozenset[str],
        now: datetime,
    ) -> None:
        """Among the person's consents, where it can be withdrawn; what they had agreed to stays."""
        before = consents.agreement(tx, session.person.id, client.client_id)
        asked = frozenset(request.scopes) | frozenset(claims_of(request.scopes))
        agreement = Agreement(
            frozenset(request.scopes) | (before.scopes if before else frozenset()),
            agreed | (before.claims - asked if before else frozenset()),
            asked | (before.answered if before else frozenset()),
        )
        person = session.person.id
        consents.remember_agreement(self._database, tx, person, client.client_id, agreement, now)

    def _append(
        self,
        tx: Tx,
        session: Session,
        client: Client,
        allowed: bool,
        agreed: Collection[str],
        now: datetime,
    ) -> None:
        entry = Entry(
            kind="idp.device_answered",
            actor=session.person.actor,
            at=now,
            subject=session.person.subject,
            purpose=client.purpose["zh-Hans"],
            verdict="granted" if allowed else "denied",
            disclosed=tuple(sorted(agreed)),
            details={"client_id": client.client_id},
        )
        self._ledger.append(tx, entry)


def authorization_of(
    request: DeviceRequest, client: Client, session: Session, agreed: Collection[str]
) -> Authorization:
    """What the person of `session` allowed the device's program: told at userinfo, and in the ID
    token too for a client that is registered so (OIDC Core §5.4)."""
    told = released(bundled(request.scopes), agreed)
    return Authorization(
        person_id=session.person.id,
        subject=session.person.subject,
        sid=session.sid,
        scopes=request.scopes,
        auth_time=int(session.authenticated_at.timestamp()),
        acr=session.acr,
        amr=session.amr,
        resources=request.resources,
        userinfo_claims=told,
        id_token_claims=told if client.claims_in_id_token else (),
    )


def normal(user_code: str) -> str:
    """What somebody typed, without spaces and dashes, in capitals (RFC 8628 §6.1)."""
    return _NOISE.sub("", user_code[:40]).upper()


def shown(user_code: str) -> str:
    """In two groups of four."""
    return f"{user_code[:4]}-{user_code[4:]}"
