"""The token endpoint (RFC 6749 §3.2): an authenticated client, a grant, a token response.

    authenticate the client ─▶ check (pure) ─▶ redeem (one transaction per batch) ─▶ sign

Everything here is fast lane. Codes and refresh tokens change state, so their redemption is a
grouped atomic statement with its ledger entries in the same commit; the tokens are signed after it.
A client's own token only leaves a trace, recorded before it is handed out. What is refused leaves
a trace too.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from foundation.actor import ANONYMOUS
from foundation.batching import GroupWriter, HotRequest
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.encryption import FieldCipher
from idp.clients.service import Clients
from idp.models import Client, Family
from idp.protocol.errors import (
    AuthorizationPending,
    OAuthError,
    SlowDown,
    UnsupportedGrantType,
)
from idp.protocol.subjects import subject_for
from idp.token.grants import authorization_code, client_credentials, device_code, parameter, refresh
from idp.token.grants.authorization_code import CodeRequest, NotRedeemed, Redeemed
from idp.token.grants.refresh import NotRefreshed, Refreshed, RefreshRequest
from idp.token.sender_constraint import Confirmation, SenderConstraints
from idp.token.tokens import Grant, Tokens
from ledger import Entry, Ledger

Form = Mapping[str, str]
Handler = Callable[[Form, Client, Confirmation], Awaitable[Mapping[str, Any]]]


class Issuance:
    """`await issuance.token(headers, form)`: the token response, or an `OAuthError`."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        tokens: Tokens,
        senders: SenderConstraints,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._tokens = tokens
        self._senders = senders
        self._clock = clock
        self._codes: GroupWriter[CodeRequest, Redeemed | NotRedeemed] = GroupWriter(
            database, self._redeem_codes
        )
        self._refreshes: GroupWriter[RefreshRequest, Refreshed | NotRefreshed] = GroupWriter(
            database, self._redeem_refreshes
        )
        self._polls: GroupWriter[device_code.Poll, device_code.Allowed | device_code.NotAllowed] = (
            GroupWriter(database, self._redeem_polls)
        )
        self._grants: dict[str, Handler] = {
            client_credentials.GRANT_TYPE: self._client_credentials,
            authorization_code.GRANT_TYPE: self._authorization_code,
            refresh.GRANT_TYPE: self._refresh,
            device_code.GRANT_TYPE: self._device_code,
        }

    @property
    def grant_types(self) -> tuple[str, ...]:
        return tuple(self._grants)

    async def token(self, request: HotRequest, form: Form) -> Mapping[str, Any]:
        """Answer a token request (RFC 6749 §5). Every outcome is a ledger entry.

        1. The proof of possession, if any, is good but for its nonce: nothing is used up yet.
        2. The client is who it says.
        3. The grant type is one we offer.
        4. The token will be bound to the sender, where the client is registered so.
        5. The grant itself: `grants/`.
        """
        client: Client | None = None
        try:
            proof = self._senders.proof(request)
            client = await self._clients.authenticate(request, form)
            handler = self._grants.get(parameter(form, "grant_type"))
            if handler is None:
                raise UnsupportedGrantType("this grant type is not offered here")
            confirmation = await self._senders.bind(request, proof, client)
            client = await self._clients.with_keys(client, "id_token")
            return await handler(form, client, confirmation)
        except (AuthorizationPending, SlowDown):
            raise  # a device that waits is not refused anything
        except OAuthError as refusal:
            await self._ledger.record(self._refusal(client, refusal))
            raise

    def close(self) -> None:
        self._codes.close()
        self._refreshes.close()
        self._polls.close()

    async def _client_credentials(
        self, form: Form, client: Client, confirmation: Confirmation
    ) -> Mapping[str, Any]:
        now = self._clock()
        asked = client_credentials.check(form, client, api_audience=self._tokens.api_audience)
        grant = replace(asked, binding=confirmation) if confirmation else asked
        issued = await self._tokens.issue(grant, client.client_id, now)
        details = {
            "grant_type": client_credentials.GRANT_TYPE,
            "scope": " ".join(grant.scopes),
            "jti": issued.jti,
        }
        await self._ledger.record(
            Entry(kind="idp.token_issued", actor=client.actor, at=now, details=details)
        )
        return issued.response

    async def _authorization_code(
        self, form: Form, client: Client, confirmation: Confirmation
    ) -> Mapping[str, Any]:
        request = authorization_code.check(form, client, confirmation, self._clock())
        result = await self._codes.submit(request)
        if isinstance(result, NotRedeemed):
            raise result.error()
        return await self._respond(
            client,
            result.family,
            result.family.authorization.scopes,
            result.refresh_token,
            confirmation,
            nonce=result.family.authorization.nonce,
            resources=request.resources,
            claims=result.claims,
        )

    async def _refresh(
        self, form: Form, client: Client, confirmation: Confirmation
    ) -> Mapping[str, Any]:
        request = refresh.check(form, client, confirmation, self._clock())
        result = await self._refreshes.submit(request)
        if isinstance(result, NotRefreshed):
            raise result.error()
        return await self._respond(
            client,
            result.family,
            result.scopes,
            result.refresh_token,
            confirmation,
            resources=request.resources,
        )

    async def _device_code(
        self, form: Form, client: Client, confirmation: Confirmation
    ) -> Mapping[str, Any]:
        poll = device_code.check(form, client, confirmation, self._clock())
        result = await self._polls.submit(poll)
        if isinstance(result, device_code.NotAllowed):
            raise result.error()
        scopes = result.family.authorization.scopes
        return await self._respond(
            client, result.family, scopes, result.refresh_token, confirmation
        )

    async def _respond(
        self,
        client: Client,
        family: Family,
        scopes: tuple[str, ...],
        refresh_token: str | None,
        confirmation: Confirmation,
        nonce: str | None = None,
        resources: tuple[str, ...] = (),
        claims: Mapping[str, Any] = MappingProxyType({}),
    ) -> Mapping[str, Any]:
        authorization = family.authorization
        grant = Grant(
            client=client,
            scopes=scopes,
            audience=self._tokens.audience(client, scopes, resources or authorization.resources),
            family=family.id,
            authorization=authorization,
            refresh_token=refresh_token,
            nonce=nonce,
            claims=claims,
            binding=confirmation,
        )
        subject = subject_for(self._cipher, client, authorization.person_id)
        issued = await self._tokens.issue(grant, subject, self._clock())
        return issued.response

    @property
    def _cipher(self) -> FieldCipher:
        return self._database.cipher

    def _redeem_codes(
        self, tx: Tx, requests: Sequence[CodeRequest]
    ) -> Sequence[Redeemed | NotRedeemed]:
        results = authorization_code.redeem(self._database, tx, requests)
        entries: list[Entry] = []
        for request, result in zip(requests, results, strict=True):
            if isinstance(result, Redeemed):
                grant_type = authorization_code.GRANT_TYPE
                told = tuple(sorted(result.claims))
                entries.append(self._issued(request.client, result.family, grant_type, told))
            elif result.reused is not None:
                entries.append(self._ended(request.client, result.reused, "code_reuse"))
        self._ledger.append_all(tx, entries)
        return results

    def _redeem_refreshes(
        self, tx: Tx, requests: Sequence[RefreshRequest]
    ) -> Sequence[Refreshed | NotRefreshed]:
        results = refresh.redeem(self._database, tx, requests)
        entries: list[Entry] = []
        for request, result in zip(requests, results, strict=True):
            if isinstance(result, Refreshed):
                entries.append(self._issued(request.client, result.family, refresh.GRANT_TYPE))
            elif result.ended is not None:
                entries.append(self._ended(request.client, result.ended, "refresh_token_reuse"))
        self._ledger.append_all(tx, entries)
        return results

    def _redeem_polls(
        self, tx: Tx, polls: Sequence[device_code.Poll]
    ) -> Sequence[device_code.Allowed | device_code.NotAllowed]:
        results = device_code.redeem(self._database, tx, polls)
        entries = [
            self._issued(poll.client, result.family, device_code.GRANT_TYPE)
            for poll, result in zip(polls, results, strict=True)
            if isinstance(result, device_code.Allowed)
        ]
        self._ledger.append_all(tx, entries)
        return results

    def _issued(
        self, client: Client, family: Family, grant_type: str, disclosed: tuple[str, ...] = ()
    ) -> Entry:
        authorization = family.authorization
        return Entry(
            kind="idp.token_issued",
            actor=client.actor,
            at=self._clock(),
            subject=authorization.subject,
            purpose=client.purpose["zh-Hans"],
            disclosed=disclosed,
            details={
                "grant_type": grant_type,
                "scope": " ".join(authorization.scopes),
                "family": family.id,
            },
        )

    def _ended(self, client: Client, family: Family, reason: str) -> Entry:
        return Entry(
            kind="idp.family_revoked",
            actor=client.actor,
            at=self._clock(),
            subject=family.authorization.subject,
            verdict=reason,
            details={"family": family.id},
        )

    def _refusal(self, client: Client | None, refusal: OAuthError) -> Entry:
        return Entry(
            kind="idp.token_refused",
            actor=client.actor if client else ANONYMOUS,
            at=self._clock(),
            verdict=refusal.error,
            private={"rule": refusal.detail},
        )
