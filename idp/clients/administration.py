"""Keeping clients: look, change, suspend, end, and exchange a secret without a minute of outage.

    registered ─▶ enabled ⇄ disabled ─▶ deleted

- A change gives single members new values and is checked like a registration; the client_id and the
  consents of people stay. Whoever asked for more asks people again (`rules.decide`).
- While disabled, neither the client nor any of its tokens is accepted; enabled again, they are,
  unless they were ended too.
- Deleted is for ever: tokens and consents are gone, and the client_id is given to nobody else,
  because ledger entries and people's pages still name it.
- Two secrets may count at once, so that a program gets the new one before the old one ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Row

from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import Conflict, FieldError, NotFound
from idp.clients.service import Clients
from idp.models import Client
from idp.protocol.errors import ClientDeleted, ClientNotFound, InvalidClientMetadata
from idp.store import clients, consents, families
from ledger import Ledger


class ClientChanged(Conflict):
    """Two changes at once: the second would undo the first unseen."""

    code = "client_changed_meanwhile"


class SecretsFull(Conflict):
    """A client has at most two secrets at once."""

    code = "client_secrets_full"


class LastSecret(Conflict):
    """A client that proves itself by a secret keeps one."""

    code = "client_last_secret"


class SecretNotFound(NotFound):
    """The client has no secret that begins like this."""

    code = "client_secret_not_found"


State = Literal["enabled", "disabled", "forbidden", "deleted"]


@dataclass(frozen=True, slots=True)
class KeptClient:
    """A registration as an operator sees it. `secrets` are the beginnings of those that count."""

    client: Client
    state: State
    created_at: datetime
    secrets: tuple[str, ...]


class ClientAdministration:
    """What operators do with registered clients; each act is one ledger entry."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        clock: Clock,
        access_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._clock = clock
        self._access_lifetime = access_lifetime

    def show(self, client_id: str) -> KeptClient:
        """One registration, whatever became of it. Raises `ClientNotFound`."""
        with self._database.read() as tx:
            row = clients.whole_row(tx, client_id)
        if row is None:
            raise ClientNotFound("no such client is registered")
        client = clients.registered_client(row).client
        return KeptClient(
            client=client,
            state=_state(row, forbidden=client.profile in self._clients.forbidden),
            created_at=row.created_at,
            secrets=tuple(filter(None, (row.secret_prefix, row.second_secret_prefix))),
        )

    def check(self, client: Client) -> None:
        """Would this registration be accepted? Looks at its addresses too, and changes nothing.
        Raises `InvalidClientMetadata` with every broken rule."""
        self._clients.vouch(client)

    def changed(self, client_id: str, members: Mapping[str, Any]) -> Client:
        """The client with new values for some members; null is the default. Nothing is stored.
        Raises `ClientNotFound`, `ClientDeleted`, `InvalidClientMetadata`."""
        return _with_members(self._changeable(client_id), members)

    def change(self, client_id: str, members: Mapping[str, Any], *, by: Actor) -> str:
        """Give members of a registration new values; answers a secret, if another method of
        authentication needs one, else "". Raises as `changed` and `check` do."""
        before = self._changeable(client_id)
        vouched = self._clients.vouch(_with_members(before, members))
        with self._database.write() as tx:
            if clients.held(tx, client_id) != before:
                raise ClientChanged(
                    "somebody else changed this client meanwhile",
                    next_step=f"./run idp clients show {client_id}, then change it again",
                )
            return self._clients.change(tx, before, vouched, by=by)

    def enable(self, client_id: str, *, by: Actor) -> None:
        """Accept a disabled client again. Raises `ClientNotFound`, `ClientDeleted`."""
        client = self._changeable(client_id)
        with self._database.write() as tx:
            if clients.enable(tx, client_id):
                self._clients.append(tx, "idp.client_enabled", client, by, self._clock())

    def disable(self, client_id: str, *, end_tokens: bool = False, by: Actor) -> None:
        """Refuse a client and its tokens until it is enabled again; with `end_tokens`, what people
        allowed it so far stays refused then too."""
        client = self._changeable(client_id)
        with self._database.write() as tx:
            self._clients.end(tx, client, by=by)
            if end_tokens:
                self._end_tokens(tx, client_id)

    def delete(self, client_id: str, *, by: Actor) -> None:
        """End a client for ever, with its tokens, secrets and people's consents."""
        client = self._changeable(client_id)
        with self._database.write() as tx:
            self.delete_in(tx, client, by=by)

    def delete_in(self, tx: Tx, client: Client, *, by: Actor) -> None:
        """`delete` in the caller's transaction."""
        now = self._clock()
        clients.delete(tx, client.client_id, now)
        consents.withdraw_all(tx, client.client_id)
        self._end_tokens(tx, client.client_id)
        self._clients.append(tx, "idp.client_deleted", client, by, now)

    def add_secret(self, client_id: str, *, by: Actor) -> str:
        """A second secret beside the first. Raises `SecretsFull`."""
        client = self._changeable(client_id)
        secret, secret_hash = self._clients.new_secret(client)
        if not secret:
            said = f"the client authenticates by {client.token_endpoint_auth_method}"
            raise SecretNotFound(said, next_step="it needs no secret")
        with self._database.write() as tx:
            if not clients.add_second_secret(tx, client_id, secret_hash, secret[:12]):
                raise SecretsFull(
                    "the client has two secrets already",
                    next_step=f"end one of them: ./run idp clients end-secret {client_id} …",
                )
            self._clients.append(tx, "idp.client_secret_added", client, by, self._clock())
        return secret

    def end_secret(self, client_id: str, prefix: str, *, by: Actor) -> None:
        """The secret that begins with `prefix` (as `show` tells it) counts no more.
        Raises `SecretNotFound`, `LastSecret`."""
        shown = self.show(client_id)
        client = self._changeable(client_id)
        if prefix not in shown.secrets:
            raise SecretNotFound(
                "no secret of this client begins like this",
                next_step=f"./run idp clients show {client_id}",
            )
        with self._database.write() as tx:
            if not clients.end_secret(tx, client_id, prefix):
                raise LastSecret(
                    "it is the client's only secret",
                    next_step="add another first, or disable the client",
                )
            self._clients.append(tx, "idp.client_secret_ended", client, by, self._clock())

    def _changeable(self, client_id: str) -> Client:
        kept = self.show(client_id)
        if kept.state == "deleted":
            raise ClientDeleted("the client was deleted; its client_id is given to nobody else")
        return kept.client

    def _end_tokens(self, tx: Tx, client_id: str) -> None:
        now, why = self._clock(), "client_ended"
        families.end_codes(tx, now, why, client_id=client_id)
        living = [family.id for family in families.live_families(tx, client_id=client_id)]
        families.revoke_families(self._database, tx, living, why, now, self._access_lifetime)


def _state(row: Row[Any], *, forbidden: bool) -> State:
    if row.deleted_at is not None:
        return "deleted"
    if row.disabled_at is not None:
        return "disabled"
    return "forbidden" if forbidden else "enabled"


def _with_members(old: Client, members: Mapping[str, Any]) -> Client:
    if problems := _unknown(members, old.client_id):
        raise InvalidClientMetadata(problems[0].detail, errors=problems)
    described = msgspec.to_builtins(old) | dict(members)
    given = {name: value for name, value in described.items() if value is not None}
    try:
        return msgspec.convert(given, type=Client)
    except msgspec.ValidationError as problem:
        raise InvalidClientMetadata(f"the change does not describe a client: {problem}") from None


def _unknown(members: Mapping[str, Any], client_id: str) -> list[FieldError]:
    if members.get("client_id", client_id) != client_id:
        said = "a client keeps its client_id; register another one"
        return [FieldError("/client_id", "client_id", said)]
    known = Client.__dataclass_fields__
    return [
        FieldError(f"/{name[:40]}", "member", f"{name[:40]} is no member of a registration")
        for name in members
        if name not in known
    ]
