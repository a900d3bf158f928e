"""Pushed authorization requests (PAR, RFC 9126): the client sends its request itself and proves
who it is; the browser carries only a reference.

- What is pushed is checked at once, by the same rules as at the authorization endpoint, so a client
  hears about a mistake, or about going beyond its purpose, where a developer sees it.
- A reference is 256 random bits, good for 90 seconds, for one client, and for one authorization.
  It is used up when somebody was authorized, not when a page was loaded: a reload, the back button
  or a prefetching browser loses nothing (FAPI 2.0 §5.3.2.2, note 3).
- A browser may bring a request as a form (OIDC Core §3.1.2.1). It is kept in the same way, so that
  nothing of it, and no ID token that came as a hint, ever stands in an address.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from foundation.batching import GroupWriter, HotRequest
from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.authorize.entries import refusal
from idp.authorize.request_intake import RequestIntake
from idp.authorize.rules import RequestRefused
from idp.clients.service import Clients
from idp.models import Client
from idp.protocol.authorizations import AuthorizationRequest
from idp.protocol.errors import AuthorizationError, InvalidRequest
from idp.protocol.messages import PushResponse
from idp.store import pushed
from idp.store.digests import sha256
from idp.token import dpop
from idp.token.dpop import DpopProof
from idp.token.sender_constraint import SenderConstraints
from ledger import Entry, Ledger

REQUEST_URI: Final = "urn:ietf:params:oauth:request_uri:"
LIFETIME: Final = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A checked request on its way into the database, or a refusal on its way into the ledger."""

    client: Client
    request: AuthorizationRequest | None
    refused: AuthorizationError | None
    id_hash: str
    now: datetime


class PushedRequests:
    """`await pushed.push(request, form)`: the body of the 201, or an `OAuthError`."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        senders: SenderConstraints,
        intake: RequestIntake,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._senders = senders
        self._intake = intake
        self._clock = clock
        self._writer: GroupWriter[Pushed, None] = GroupWriter(database, self._store)

    async def push(self, request: HotRequest, form: Mapping[str, str]) -> PushResponse:
        """Answer a pushed request (RFC 9126 §2.1, §2.2).

        1. The proof, if any, is good; the client is who it says.
        2. The form holds no request_uri.                                           §2.1
        3. The request obeys the rules, whole or as a signed object.                §2.1, §3
        4. dpop_jkt and the proof, where both are there, are of the same key.       RFC 9449 §10.1
        """
        # 1.
        proof = self._senders.proof(request)
        client = await self._clients.authenticate(request, form)
        if proof is not None:
            await self._senders.spend(proof)
            dpop.refuse_early(proof, client, self._clock())
        # 2.
        if form.get("request_uri"):
            raise InvalidRequest("request_uri cannot be pushed")
        # 3.
        now, reference = self._clock(), secrets.token_urlsafe(32)
        params = {**form, "client_id": client.client_id}
        checked = await self._intake.check_later(params, client, pushed=True, now=now)
        if isinstance(checked, RequestRefused):
            refusal = AuthorizationError(checked.error, checked.description)
            await self._writer.submit(Pushed(client, None, refusal, "", now))
            raise refusal
        # 4.
        bound = _bound(checked, proof)
        await self._writer.submit(Pushed(client, bound, None, sha256(reference), now))
        return {"request_uri": REQUEST_URI + reference, "expires_in": int(LIFETIME.total_seconds())}

    def keep(self, params: Mapping[str, str]) -> Mapping[str, str] | RequestRefused:
        """What the browser brings to the authorization endpoint instead of the form that it posted.

        A form of another site comes without our cookies; a GET that follows brings them. The rules
        are those of a request that was not pushed. A reference that is there already goes on.
        """
        now, reference = self._clock(), secrets.token_urlsafe(32)
        with self._database.read() as tx:
            client = self._clients.find(tx, params.get("client_id", ""))
        if client is not None and reference_hash(params) is not None:
            return {"client_id": client.client_id, "request_uri": params["request_uri"]}
        checked = self._intake.check(params, client, pushed=False, now=now)
        with self._database.write() as tx:
            if isinstance(checked, RequestRefused):
                self._ledger.append(tx, refusal(client, checked, now))
                return checked
            pushed.add(tx, sha256(reference), checked, now + LIFETIME)
        return {"client_id": checked.client_id, "request_uri": REQUEST_URI + reference}

    def close(self) -> None:
        """Commit what was given, then stop."""
        self._writer.close()

    def _store(self, tx: Tx, items: Sequence[Pushed]) -> Sequence[None]:
        for each in items:
            if each.request is not None:
                expires_at = each.now + LIFETIME
                pushed.add(tx, each.id_hash, each.request, expires_at)
            elif each.refused is not None:
                self._ledger.append(tx, _refusal(each.client, each.refused, each.now))
        return [None] * len(items)


def reference_hash(params: Mapping[str, str]) -> str | None:
    """How the reference in `params` is stored, if there is one of ours."""
    request_uri = params.get("request_uri", "")
    if not request_uri.startswith(REQUEST_URI):
        return None
    return sha256(request_uri.removeprefix(REQUEST_URI))


def _bound(request: AuthorizationRequest, proof: DpopProof | None) -> AuthorizationRequest:
    if proof is None:
        return request
    if request.dpop_jkt not in ("", proof.jkt):
        raise InvalidRequest("dpop_jkt is not the thumbprint of the DPoP proof's key")
    return replace(request, dpop_jkt=proof.jkt)


def _refusal(client: Client, refused: AuthorizationError, now: datetime) -> Entry:
    return Entry(
        kind="idp.authorization_refused",
        actor=client.actor,
        at=now,
        verdict=refused.error,
        private={"rule": refused.detail},
    )
