"""Access tokens read back: our APIs, userinfo, introspection, revocation.

- A token counts while its signature, type, audience and dates are good (`tokens`) *and* the
  database knows of no revocation of it, its family, its client or its person. The second question
  is asked for every request, all waiting ones in one query; nothing about it is cached.
- One way in for every protected resource: `authorize`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.lanes import GroupWriter, Loader
from idp import families, store
from idp.claims import values_of
from idp.clients import Clients
from idp.errors import InsufficientScope, InvalidRequest, InvalidToken
from idp.grants import parameter
from idp.models import Client, Family, Person
from idp.subjects import subject_for
from idp.tokens import ACCESS_TOKEN_LIFETIME, Tokens, VerifiedToken
from ledger import Entry, Ledger


@dataclass(frozen=True, slots=True)
class TokenIds:
    """The names under which a token could have been revoked."""

    jti: str
    family: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says about a token right now. Absent parts mean: it does not count."""

    revoked: bool
    client: Client | None
    family: Family | None
    person: Person | None


@dataclass(frozen=True, slots=True)
class Authorized:
    """A request with a token that counts. `person` is absent for a client's own token."""

    token: VerifiedToken
    client: Client
    family: Family | None
    person: Person | None

    @property
    def scopes(self) -> frozenset[str]:
        return self.token.scopes

    @property
    def actor(self) -> Actor:
        """The person the client acts for, else the client. Either has the token's scopes as roles:
        a person's offices are not lent to programs.
        """
        if self.person is not None:
            return replace(self.person.actor, roles=self.scopes)
        return replace(self.client.actor, roles=self.scopes)


@dataclass(frozen=True, slots=True)
class Revocation:
    """An authenticated client gives a token back."""

    client: Client
    refresh_hash: str
    access: VerifiedToken | None
    now: datetime


class Access:
    """Tokens of ours, on their way back in."""

    def __init__(
        self, database: Database, ledger: Ledger, clients: Clients, tokens: Tokens, clock: Clock
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._tokens = tokens
        self._clock = clock
        self._standings: Loader[TokenIds, Standing] = Loader(database, self._fetch_standings)
        self._revocations: GroupWriter[Revocation, None] = GroupWriter(database, self._revoke)
        self._refresh_tokens = Loader(database, families.refresh_tokens_of)

    async def authorize(self, headers: Mapping[str, str], *, audience: str) -> Authorized:
        """Whose request is this? (RFC 6750 §2.1, §3; RFC 9068 §4)

        1. One token, in the Authorization header.
        2. Ours, for this audience, in time.
        3. Not revoked: neither itself nor its family, client or person.
        Raises `InvalidToken`.
        """
        token = self._tokens.verify_access_token(
            bearer_token(headers), audience=audience, now=self._clock()
        )
        authorized = await self._stands(token)
        if authorized is None:
            raise InvalidToken("the access token has been revoked")
        return authorized

    async def userinfo(self, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """The claims the person allowed (OIDC Core §5.3), and a ledger entry that says so."""
        authorized = await self.authorize(headers, audience=self._tokens.issuer)
        if "openid" not in authorized.scopes:
            raise InsufficientScope("userinfo needs the scope openid", scope="openid")
        person, family = authorized.person, authorized.family
        if person is None or family is None:
            raise InvalidToken("the access token is not about a person")
        values = values_of(person, family.authorization.userinfo_claims)
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
        return {"sub": subject, **values}

    async def introspect(
        self, headers: Mapping[str, str], form: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """Does this token count? (RFC 7662 §2)

        Asked by its owner, or by the resource server it is meant for; to anybody else, and for
        anything that is not a live token, the answer is only that it is not active.
        """
        client = await self._clients.authenticate(headers, form)
        if not client.confidential:
            raise InvalidRequest("introspection needs client authentication")
        token = parameter(form, "token")
        if "." in token:
            return await self._introspect_access(token, client)
        return await self._introspect_refresh(token, client)

    async def revoke(self, headers: Mapping[str, str], form: Mapping[str, str]) -> None:
        """Give a token back (RFC 7009 §2). An unknown token is already gone: no error (§2.2).

        A refresh token takes its whole family with it; an access token of a family does too,
        because a family is one sign-in; a client's own access token goes alone.
        """
        client = await self._clients.authenticate(headers, form)
        token = parameter(form, "token")
        access = None
        if "." in token:
            try:
                access = self._tokens.verify_access_token(token, audience=None, now=self._clock())
            except InvalidToken:
                return
            if access.client_id != client.client_id:
                return
        await self._revocations.submit(
            Revocation(client, store.sha256(token), access, self._clock())
        )

    def close(self) -> None:
        for lane in (self._standings, self._revocations, self._refresh_tokens):
            lane.close()

    async def _stands(self, token: VerifiedToken) -> Authorized | None:
        ids = TokenIds(token.jti, token.family, token.client_id)
        standing = await self._standings.get(ids)
        if standing is None or standing.revoked or standing.client is None:
            return None
        if token.family and (standing.family is None or standing.person is None):
            return None
        return Authorized(token, standing.client, standing.family, standing.person)

    def _fetch_standings(self, tx: Tx, wanted: Sequence[TokenIds]) -> Mapping[TokenIds, Standing]:
        """At most four queries for any number of tokens; two when no person is involved."""
        revoked = families.revoked(
            tx, {name for each in wanted for name in (each.jti, each.family)}
        )
        known = self._clients.known(tx, list({each.client_id for each in wanted}))
        ids = {each.family for each in wanted if each.family}
        grown = families.families(tx, ids) if ids else {}
        people = store.persons(tx, {each.authorization.person_id for each in grown.values()})
        standings = {}
        for each in wanted:
            registered = known.get(each.client_id)
            family = grown.get(each.family)
            person = people.get(family.authorization.person_id) if family else None
            standings[each] = Standing(
                revoked=each.jti in revoked or each.family in revoked,
                client=registered.client if registered and not registered.disabled else None,
                family=family if family and not family.revoked else None,
                person=person if person and not person.disabled else None,
            )
        return standings

    async def _introspect_access(self, text: str, client: Client) -> Mapping[str, Any]:
        try:
            token = self._tokens.verify_access_token(text, audience=None, now=self._clock())
        except InvalidToken:
            return {"active": False}
        if not _may_introspect(client, token) or await self._stands(token) is None:
            return {"active": False}
        hidden = {"fam"}
        shown = {name: value for name, value in token.claims.items() if name not in hidden}
        kind = "DPoP" if "jkt" in token.binding else "Bearer"
        return {"active": True, "token_type": kind, **shown}

    async def _introspect_refresh(self, text: str, client: Client) -> Mapping[str, Any]:
        stored = await self._refresh_tokens.get(store.sha256(text))
        now = self._clock()
        if (
            stored is None
            or stored.family.client_id != client.client_id
            or stored.family.revoked
            or stored.used_at is not None
            or min(stored.expires_at, stored.family.expires_at) <= now
        ):
            return {"active": False}
        authorization = stored.family.authorization
        return {
            "active": True,
            "iss": self._tokens.issuer,
            "client_id": client.client_id,
            "sub": subject_for(self._database.cipher, client, authorization.person_id),
            "scope": " ".join(authorization.scopes),
            "exp": int(min(stored.expires_at, stored.family.expires_at).timestamp()),
        }

    def _revoke(self, tx: Tx, items: Sequence[Revocation]) -> Sequence[None]:
        stored = families.refresh_tokens_of(tx, {each.refresh_hash for each in items})
        for each in items:
            held = stored.get(each.refresh_hash)
            family = each.access.family if each.access else ""
            if held is not None and held.family.client_id == each.client.client_id:
                family = held.family.id
            if family:
                families.revoke_families(
                    self._database, tx, [family], "revoked", each.now, ACCESS_TOKEN_LIFETIME
                )
            elif each.access is not None:
                until = datetime.fromtimestamp(each.access.expires_at, UTC)
                families.revoke(
                    self._database, tx, {each.access.jti: until + families.CLOCK_LEEWAY}
                )
            else:
                continue
            details = (
                {"family": family} if family else {"jti": each.access.jti if each.access else ""}
            )
            entry = Entry(
                kind="idp.token_revoked", actor=each.client.actor, at=each.now, details=details
            )
            self._ledger.append(tx, entry)
        return [None] * len(items)


def bearer_token(headers: Mapping[str, str]) -> str:
    """The token of the Authorization header. Raises `InvalidToken` when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken("an access token is needed in the Authorization header")
    return token


def _may_introspect(client: Client, token: VerifiedToken) -> bool:
    audience = token.claims.get("aud")
    served = audience if isinstance(audience, list) else [audience]
    return token.client_id == client.client_id or bool(
        client.resource_server and client.resource_server in served
    )
