"""Programs register themselves (RFC 7591) and look after their registration (RFC 7592).

- Only with an initial access token: an officer's yes, made at the command line for one department,
  one purpose, and so many registrations until a day. What it does not cover cannot be registered.
- Each registration has its own access token; it opens that registration and nothing else.
- Both kinds of token are 256 random bits, kept as SHA-256.
- Rules are those of every other registration (`registration.problems`), and what breaks them is
  told all at once.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.clients import metadata
from idp.clients.administration import ClientAdministration
from idp.clients.metadata import Bounds
from idp.clients.service import Clients
from idp.models import SELF_REGISTERED, Client
from idp.protocol.errors import InvalidRequest, InvalidToken
from idp.store import digests, registrations
from ledger import Entry, Ledger

PATH: Final = "/oauth/register"
LIFETIME: Final = timedelta(days=7)
UNUSABLE: Final = "the token is unknown, expired or used up"
# Told by us, so never to be sent back (RFC 7592 §2.2).
_OURS: Final = (
    *("registration_access_token", "registration_client_uri"),
    *("client_secret_expires_at", "client_id_issued_at"),
)


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration as its program is told it. The two secrets are there only when new."""

    client: Client
    issued_at: datetime
    client_secret: str = ""
    access_token: str = ""


class Registrations:
    """Registration and its management."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        administration: ClientAdministration,
        clock: Clock,
        issuer: str,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._administration = administration
        self._clock = clock
        self._issuer = issuer

    def allow(
        self, bounds: Bounds, *, by: Actor, uses: int = 1, lifetime: timedelta = LIFETIME
    ) -> str:
        """A new initial access token, for `uses` registrations within `bounds`."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        with self._database.write() as tx:
            registrations.add_initial_token(
                tx, digests.sha256(token), _written(bounds), uses, now + lifetime
            )
            details = {"scopes": " ".join(bounds.scopes), "claims": " ".join(bounds.claims)}
            self._append(tx, "idp.registration_allowed", by, now, bounds, details)
        return token

    def register(self, token: str, document: Mapping[str, Any]) -> Registered:
        """A new client (RFC 7591 §3). Raises `InvalidToken`, `InvalidClientMetadata`.

        A use of the token is spent in the transaction that registers; what is refused spends none.
        """
        access_token = secrets.token_urlsafe(32)
        client_id = SELF_REGISTERED + secrets.token_urlsafe(16)
        now = self._clock()
        with self._database.read() as tx:
            bounds = self._usable(tx, token, now)
        client = self._read(document, client_id, bounds)
        vouched = self._clients.vouch(client)
        with self._database.write() as tx:
            self._spend(tx, token, now)
            made = self._clients.register(tx, vouched, by=client.actor)
            registrations.add(tx, client_id, digests.sha256(access_token), _written(bounds), now)
        return Registered(client, now, made.client_secret, access_token)

    def read(self, client_id: str, token: str) -> Registered:
        """What is registered (RFC 7592 §2.1). Raises `InvalidToken`."""
        with self._database.read() as tx:
            client, _, issued_at = self._open(tx, client_id, token)
        return Registered(client, issued_at)

    def replace(self, client_id: str, token: str, document: Mapping[str, Any]) -> Registered:
        """New metadata in place of all of the old (RFC 7592 §2.2).

        1. The token is this registration's.
        2. The document names this client, and sends nothing back that only we may say; a secret
           only if it is the right one.
        3. It stays within the bounds of the first registration.
        """
        # 1.
        with self._database.read() as tx:
            _, bounds, issued_at = self._open(tx, client_id, token)
            # 2.
            check_update(document, client_id)
            said = document.get("client_secret")
            if said is not None and not self._clients.has_secret(tx, client_id, str(said)):
                raise InvalidRequest("client_secret is not the one of this client")
        # 3.
        client = self._read(document, client_id, bounds)
        vouched = self._clients.vouch(client)
        with self._database.write() as tx:
            old, _, _ = self._open(tx, client_id, token)
            secret = self._clients.change(tx, old, vouched, by=client.actor)
        return Registered(client, issued_at, secret)

    def delete(self, client_id: str, token: str) -> None:
        """The client, its tokens and this registration end (RFC 7592 §2.3)."""
        with self._database.write() as tx:
            client, _, _ = self._open(tx, client_id, token)
            self._administration.delete_in(tx, client, by=client.actor)

    def described(self, registered: Registered) -> dict[str, Any]:
        """The client information response (RFC 7591 §3.2.1, RFC 7592 §3)."""
        client = registered.client
        told = {
            **metadata.written(client, self._clients.grant_types),
            "client_id_issued_at": int(registered.issued_at.timestamp()),
            "registration_client_uri": f"{self._issuer}{PATH}/{client.client_id}",
        }
        if registered.client_secret:
            told |= {"client_secret": registered.client_secret, "client_secret_expires_at": 0}
        if registered.access_token:
            told["registration_access_token"] = registered.access_token
        return told

    def _read(self, document: Mapping[str, Any], client_id: str, bounds: Bounds) -> Client:
        known = self._clients
        return metadata.read(document, client_id, bounds, known.grant_types, known.policy)

    def _usable(self, tx: Tx, token: str, now: datetime) -> Bounds:
        bounds = registrations.usable_bounds(tx, digests.sha256(token), now)
        if bounds is None:
            raise InvalidToken(UNUSABLE)
        return msgspec.json.decode(bounds, type=Bounds)

    def _spend(self, tx: Tx, token: str, now: datetime) -> None:
        """One use less; whoever comes too late finds none left."""
        if not registrations.spend(tx, digests.sha256(token), now):
            raise InvalidToken(UNUSABLE)

    def _open(self, tx: Tx, client_id: str, token: str) -> tuple[Client, Bounds, datetime]:
        """An unknown client and a wrong token look the same (RFC 7592 §2.1)."""
        row = registrations.find(tx, client_id, digests.sha256(token))
        client = self._clients.find(tx, client_id) if row is not None else None
        if row is None or client is None:
            raise InvalidToken(UNUSABLE)
        return client, msgspec.json.decode(row.bounds, type=Bounds), row.created_at

    def _append(
        self,
        tx: Tx,
        kind: str,
        by: Actor,
        now: datetime,
        bounds: Bounds,
        details: Mapping[str, str],
    ) -> None:
        purpose = bounds.purpose["zh-Hans"]
        self._ledger.append(
            tx, Entry(kind=kind, actor=by, at=now, purpose=purpose, details=details)
        )


def _written(bounds: Bounds) -> str:
    return msgspec.json.encode(bounds).decode()


def check_update(document: Mapping[str, Any], client_id: str) -> None:
    """What an update must and must not contain (RFC 7592 §2.2). Raises `InvalidRequest`."""
    if document.get("client_id") != client_id:
        raise InvalidRequest("client_id must be there and be the one of this registration")
    for name in _OURS:
        if name in document:
            raise InvalidRequest(f"{name} must not be sent back")
