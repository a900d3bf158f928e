"""The interface of a grant type: from a form at the token endpoint to a `Grant`.

    check(form, client, confirmation, now) ─▶ a checked request      pure
    redeem(tx, requests)                   ─▶ a result for each      one transaction per batch
    entries(request, result)               ─▶ what the ledger keeps  in the same transaction

Whoever asks has proved to be `client`, and the client is registered for the grant type. Nothing
here knows HTTP; what is told about a grant type is in `idp/protocol/grant_types.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from foundation.database import Database, Tx
from idp.clients.service import Clients
from idp.models import Client
from idp.protocol.authorizations import Family
from idp.protocol.errors import OAuthError, UnauthorizedClient
from idp.protocol.grant_types import OfferedGrant
from idp.protocol.policy import Policy
from idp.token.tokens import Grant, Tokens
from ledger import Entry


class CheckedRequest(Protocol):
    """A well-formed request by an authenticated client that may make it."""

    @property
    def client(self) -> Client:
        """Who asks."""
        ...

    @property
    def now(self) -> datetime:
        """When the request was checked; lifetimes count from it."""
        ...


@dataclass(frozen=True, slots=True)
class NotRedeemed:
    """No tokens, or not yet. `ended`: the family that the request has ended, and `reason` why."""

    error: OAuthError
    ended: Family | None = None
    reason: str = ""


Q = TypeVar("Q", bound=CheckedRequest)


class GrantType(OfferedGrant, ABC, Generic[Q]):
    """One way to ask for tokens."""

    def __init__(
        self, database: Database, tokens: Tokens, clients: Clients, policy: Policy | None = None
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._clients = clients
        self._policy = policy or Policy()

    @classmethod
    def check_registered(cls, client: Client) -> None:
        """RFC 6749 §5.2. Raises `UnauthorizedClient`."""
        if cls.grant_type not in client.grant_types:
            raise UnauthorizedClient(f"the client is not registered for {cls.label}")

    @abstractmethod
    def check(
        self,
        form: Mapping[str, str],
        client: Client,
        confirmation: Mapping[str, str],
        now: datetime,
    ) -> Q:
        """Is the request well formed, and may this client make it? `confirmation` says what the
        tokens will be bound to. Raises `OAuthError`."""

    def granted(self, request: Q) -> Grant | None:
        """What is granted whatever the database says. Its tokens are signed before the COMMIT: none
        is on record that a silent key store never signed. None where `redeem` decides."""
        return None

    @abstractmethod
    def redeem(self, tx: Tx, requests: Sequence[Q]) -> Sequence[Grant | NotRedeemed]:
        """Apply a batch, at least one request; results in their order."""

    def entries(self, request: Q, result: Grant | NotRedeemed) -> Sequence[Entry]:
        """What the ledger keeps of one result, in the transaction that redeems."""
        if isinstance(result, Grant):
            return [_issued(self.grant_type, result, request.now)]
        if result.ended is None:
            return []
        return [_ended(request.client, result.ended, result.reason, request.now)]


def _issued(grant_type: str, grant: Grant, now: datetime) -> Entry:
    client, authorization = grant.client, grant.authorization
    if authorization is None:  # nobody's data: the client acts for itself
        details = {"grant_type": grant_type, "scope": " ".join(grant.scopes), "jti": grant.jti}
        return Entry(kind="idp.token_issued", actor=client.actor, at=now, details=details)
    return Entry(
        kind="idp.token_issued",
        actor=client.actor,
        at=now,
        subject=authorization.subject,
        purpose=client.purpose["zh-Hans"],
        disclosed=tuple(sorted(grant.claims)),
        details={
            "grant_type": grant_type,
            "scope": " ".join(authorization.scopes),
            "family": grant.family,
        },
    )


def _ended(client: Client, family: Family, reason: str, now: datetime) -> Entry:
    return Entry(
        kind="idp.family_revoked",
        actor=client.actor,
        at=now,
        subject=family.authorization.subject,
        verdict=reason,
        details={"family": family.id},
    )
