"""The token endpoint (RFC 6749 §3.2): an authenticated client, a grant, a token response.

    authenticate the client ─▶ check (pure) ─▶ redeem (one transaction per batch) ─▶ sign

Everything here is fast lane. Which grant types there are, and what each reads, does and leaves in
the ledger, is said by the table in `grants/`. Requests of one grant type that wait together are
redeemed in one transaction with their ledger entries; the tokens are signed after it, or before it
where the database has no say in what is granted. A DPoP proof is used up in the transaction of what
it allows, be that a refusal. What is refused leaves a trace too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from foundation.actor import ANONYMOUS
from foundation.batching import Condition, GroupWriter, HotRequest, parse_form
from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.clients.service import Clients
from idp.models import Client
from idp.protocol.errors import (
    AuthorizationPending,
    OAuthError,
    SlowDown,
    UnsupportedGrantType,
)
from idp.protocol.messages import TokenResponse
from idp.protocol.policy import Policy
from idp.protocol.resources import REPEATED
from idp.protocol.subjects import subject_for
from idp.protocol.syntax import parameter
from idp.token.grants import Grants
from idp.token.grants.grant_type import CheckedRequest, GrantType, NotRedeemed
from idp.token.sender_constraint import Confirmation, SenderConstraints
from idp.token.tokens import Grant, Tokens
from ledger import Entry, Ledger

Form = Mapping[str, str]
Q = TypeVar("Q", bound=CheckedRequest)
Spending = Condition[Any, bool] | None  # using up the proof that came along, if one did


class TokenEndpoint:
    """`await token_endpoint.token(headers, form)`: the token response, or an `OAuthError`."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        tokens: Tokens,
        senders: SenderConstraints,
        clock: Clock,
        grants: Grants,
        policy: Policy,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._tokens = tokens
        self._senders = senders
        self._clock = clock
        self._repeated = {name: REPEATED | kind.repeated for name, kind in grants.items()}
        self._repeated_somewhere = REPEATED.union(*self._repeated.values())
        self._redemptions: dict[str, Redemption[Any]] = {
            name: Redemption(kind(database, tokens, clients, policy), database, ledger)
            for name, kind in grants.items()
        }

    def read(self, request: HotRequest) -> Form:
        """The parameters. Which may come more than once is for the grant type to say; whatever
        else does is `Malformed` (RFC 6749 §3.2)."""
        form = parse_form(request, self._repeated_somewhere)
        repeated = self._repeated.get(form.get("grant_type", ""), REPEATED)
        return form if repeated == self._repeated_somewhere else parse_form(request, repeated)

    async def token(self, request: HotRequest, form: Form) -> TokenResponse:
        """Answer a token request (RFC 6749 §5). Every outcome is a ledger entry.

        1. The proof of possession, if any, is good but for its nonce: nothing is used up yet.
        2. The client is who it says.
        3. The grant type is one we offer.
        4. The token will be bound to the sender, where the client is registered so.
        5. The client is registered for the grant type, and the grant itself is good: `grants/`.
        """
        client: Client | None = None
        spending: Spending = None
        try:
            proof = self._senders.proof(request)
            client = await self._clients.authenticate(request, form)
            redemption = self._redemptions.get(parameter(form, "grant_type"))
            if redemption is None:
                raise UnsupportedGrantType("this grant type is not offered here")
            spending = self._senders.spending(proof)
            confirmation = self._senders.bind(request, proof, client)
            client = await self._clients.with_keys(client, "id_token")
            return await self._redeem(redemption, form, client, confirmation, spending)
        except (AuthorizationPending, SlowDown):
            raise  # a device that waits is not refused anything
        except OAuthError as refusal:
            await self._record_refusal(client, refusal, spending)
            raise

    def close(self) -> None:
        """Commit the requests that were given, of every grant type, then stop."""
        for redemption in self._redemptions.values():
            redemption.close()

    async def _redeem(
        self,
        redemption: "Redemption[Any]",
        form: Form,
        client: Client,
        confirmation: Confirmation,
        spending: Spending,
    ) -> TokenResponse:
        kind = redemption.kind
        kind.check_registered(client)
        checked = kind.check(form, client, confirmation, self._clock())
        granted = kind.granted(checked)
        response = await self._issued(granted, confirmation) if granted is not None else None
        result = await redemption.submit(checked, spending)
        if isinstance(result, NotRedeemed):
            raise result.error
        return response if response is not None else await self._issued(result, confirmation)

    async def _issued(self, grant: Grant, confirmation: Confirmation) -> TokenResponse:
        return await self._tokens.issue(grant, self._subject(grant), confirmation, self._clock())

    def _subject(self, grant: Grant) -> str:
        """The person's name for this client; the client itself when there is nobody else."""
        if grant.authorization is None:
            return grant.client.client_id
        person_id = grant.authorization.person_id
        return subject_for(self._database.cipher, grant.client, person_id)

    async def _record_refusal(
        self, client: Client | None, refusal: OAuthError, spending: Spending
    ) -> None:
        """What is refused before its proof is used up uses it up; one that was used before is what
        is wrong first, and raised."""
        if spending is not None and spending.taken:
            spending = None
        try:
            await self._ledger.record(self._refusal(client, refusal), given=spending)
        except OAuthError as replayed:
            await self._ledger.record(self._refusal(client, replayed))
            raise replayed from None

    def _refusal(self, client: Client | None, refusal: OAuthError) -> Entry:
        return Entry(
            kind="idp.token_refused",
            actor=client.actor if client else ANONYMOUS,
            at=self._clock(),
            verdict=refusal.error,
            private={"rule": refusal.detail},
        )


class Redemption(Generic[Q]):
    """One grant type at work: what waits together is redeemed in one transaction with its entries.

    This is the only place that knows how a checked request reaches its COMMIT.
    """

    def __init__(self, kind: GrantType[Q], database: Database, ledger: Ledger) -> None:
        self.kind = kind
        self._ledger = ledger
        self._writer: GroupWriter[Q, Grant | NotRedeemed] = GroupWriter(database, self._apply)

    async def submit(self, checked: Q, spending: Spending) -> Grant | NotRedeemed:
        """The result, after the COMMIT that made it durable and used up the proof."""
        return await self._writer.submit(checked, spending)

    def close(self) -> None:
        """Commit what was given, then stop."""
        self._writer.close()

    def _apply(self, tx: Tx, requests: Sequence[Q]) -> Sequence[Grant | NotRedeemed]:
        results = self.kind.redeem(tx, requests)
        entries = [
            entry
            for request, result in zip(requests, results, strict=True)
            for entry in self.kind.entries(request, result)
        ]
        self._ledger.append_all(tx, entries)
        return results
