"""Access tokens read back: our APIs and userinfo.

- A token counts while its signature, type, audience and dates are good (`tokens`) *and* the
  database knows of no revocation of it, its family, its client or its person. The second question
  is asked for every request, all waiting ones in one query; nothing about it is cached.
- One way in for every protected resource: `authorize`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from foundation.actor import Actor
from foundation.batching import HotRequest, Loader
from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.clients.service import Clients
from idp.models import Client, Person, RegisteredClient
from idp.protocol import encryption
from idp.protocol.authorizations import Family
from idp.protocol.claims import freshness_of, values_of
from idp.protocol.errors import InsufficientScope, InvalidToken, TokenMissing
from idp.protocol.profiles import SIGNING_ALGORITHMS
from idp.protocol.subjects import subject_for
from idp.resource.signed_requests import SignedRequests
from idp.resource.step_up import Assurance, demand
from idp.token.sender_constraint import SenderConstraints
from idp.token.standing import Standing, TokenIds, ids_of, standings
from idp.token.tokens import Tokens, VerifiedToken
from ledger import Entry, Ledger


@dataclass(slots=True)
class Authorized:
    """A request with a token that counts. `person` is absent for a client's own token; `signed_by`
    is the thumbprint of the key that signed the request, "" for clients that need not.
    """

    token: VerifiedToken
    client: Client
    family: Family | None
    person: Person | None
    signed_by: str = ""

    @property
    def scopes(self) -> frozenset[str]:
        """What the token allows."""
        return self.token.scopes

    @property
    def actor(self) -> Actor:
        """The person the client acts for, else the client. Either has the token's scopes as roles:
        a person's offices are not lent to programs.
        """
        if self.person is not None:
            return replace(self.person.actor, roles=self.scopes, signed_by=self.signed_by)
        return _client_with_token(self.client.actor, self.scopes, self.signed_by)


@lru_cache(maxsize=10_000)
def _client_with_token(client: Actor, scopes: frozenset[str], signed_by: str) -> Actor:
    """Made once for each client and what its tokens allow: it asks again and again."""
    return replace(client, roles=scopes, signed_by=signed_by)


class TokenReader:
    """Tokens of ours, on their way back in."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        tokens: Tokens,
        senders: SenderConstraints,
        signed: SignedRequests,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._tokens = tokens
        self._senders = senders
        self._signed = signed
        self._clock = clock
        self._standings: Loader[TokenIds, Standing] = Loader(database, self.standings)

    async def authorize(self, request: HotRequest, *, audience: str) -> Authorized:
        """Whose request is this? (RFC 6750 §2.1, §3; RFC 9068 §4)

        1. One token, in the Authorization header.
        2. Ours, for this audience, in time.
        3. Sent by whoever it was made for (RFC 9449 §7, RFC 8705 §3).
        4. Not revoked: neither itself nor its family, client or person.
        5. Signed, if the client is registered to sign (RFC 9421).
        Raises `InvalidToken` or another `TokenRefused`.
        """
        # 1., 2.
        scheme, text = access_token(request.headers)
        token = self._tokens.verify_access_token(text, audience=audience, now=self._clock())
        # 3.
        proof = await self._senders.check(request, scheme, text, token.binding)
        # 4.
        authorized = await self.standing(token)
        if authorized is None:
            raise InvalidToken("the access token has been revoked")
        self._senders.refuse_early(proof, authorized.client)
        request.asker = authorized.client.client_id
        # 5.
        if authorized.client.require_signed_requests:
            signed_by = await self._signed.check(request, authorized.client)
            return replace(authorized, signed_by=signed_by)
        return authorized

    async def userinfo(self, request: HotRequest) -> Mapping[str, Any] | str:
        """The claims the person allowed (OIDC Core §5.3), and a ledger entry that says so.

        As a token for a client that is registered for one (§5.3.2).
        """
        authorized = await self.authorize(request, audience=self._tokens.issuer)
        if "openid" not in authorized.scopes:
            raise InsufficientScope("userinfo needs the scope openid", scope="openid")
        client = await self._clients.with_keys(authorized.client, "userinfo")
        person, family = authorized.person, authorized.family
        if person is None or family is None:
            raise InvalidToken("the access token is not about a person")
        allowed = family.authorization.userinfo_claims
        demand(authorized.token, Assurance(max_age=freshness_of(allowed)), self._clock())
        values = values_of(person, allowed)
        entry = Entry(
            kind="idp.userinfo_read",
            actor=authorized.client.actor,
            at=self._clock(),
            subject=person.subject,
            purpose=authorized.client.purpose["zh-Hans"],
            disclosed=tuple(sorted(values)),
            details={"family": family.id},
        )
        await self._ledger.record(entry)
        subject = subject_for(self._database.cipher, authorized.client, person.id)
        return await self._told(client, {"sub": subject, **values})

    def close(self) -> None:
        """Finish the reads that were given, then end their threads."""
        self._standings.close()

    async def _told(self, client: Client, claims: Mapping[str, Any]) -> Mapping[str, Any] | str:
        if not client.userinfo_signed_response_alg:
            return claims
        said = {"iss": self._tokens.issuer, "aud": client.client_id, **claims}
        signed = await self._tokens.signed(client, said, typ="userinfo+jwt")
        return encryption.for_client(client, "userinfo", signed)

    async def standing(self, token: VerifiedToken) -> Authorized | None:
        """The token with everything it stands on, or None when it does not count any more."""
        standing = await self._standings.get(ids_of(token))
        return None if standing is None else Authorized(token, *standing)

    def standings(
        self,
        tx: Tx,
        wanted: Collection[TokenIds],
        known: Mapping[str, RegisteredClient] | None = None,
    ) -> Mapping[TokenIds, Standing]:
        """Of those that count (`standing.standings`). `known` are the tokens' clients, for who has
        just looked them up."""
        if known is None:
            known = self._clients.known(tx, list({each.client_id for each in wanted}))
        return standings(tx, wanted, known, self._clients.known)


def access_token(headers: Mapping[str, str]) -> tuple[str, str]:
    """Scheme ("bearer" or "dpop") and token of the Authorization header. Raises `InvalidToken`."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "dpop") or not token:
        raise TokenMissing(
            "an access token is needed in the Authorization header",
            algs=" ".join(SIGNING_ALGORITHMS),
        )
    return scheme.lower(), token
