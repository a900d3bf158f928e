"""Revocation: a client gives a token back (RFC 7009).

- A token family is one sign-in, so giving back any token of it ends all of it (§2.1). A client's
  own access token has no family and goes alone.
- What is unknown, expired or revoked is gone already: that is success, not an error (§2.2).
- A token of another client is refused and stays as it is (§2.1).
- Revoked means revoked: the answer leaves after the commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from foundation.batching import GroupWriter, HotRequest
from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.clients.service import Clients
from idp.models import Client
from idp.protocol.authorizations import Family
from idp.protocol.errors import InvalidGrant, InvalidToken, UnsupportedTokenType
from idp.protocol.syntax import parameter
from idp.store import families
from idp.token.grants import refresh
from idp.token.tokens import ACCESS_TOKEN_LIFETIME, Tokens, VerifiedToken
from ledger import Entry, Ledger

FOREIGN = "the token was issued to another client"


@dataclass(frozen=True, slots=True)
class RevocationRequest:
    """An authenticated client gives a token back: an access token of ours, or something opaque."""

    client: Client
    access: VerifiedToken | None
    token: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """What is to end: a family, or one access token until its time is over. Neither: nothing."""

    family: str = ""
    jti: str = ""
    until: datetime | None = None


class Revocations:
    """`await revocations.revoke(request, form)`."""

    def __init__(
        self, database: Database, ledger: Ledger, clients: Clients, tokens: Tokens, clock: Clock
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._tokens = tokens
        self._clock = clock
        self._writer: GroupWriter[RevocationRequest, bool] = GroupWriter(database, self._apply)

    async def revoke(self, request: HotRequest, form: Mapping[str, str]) -> None:
        """Answer a revocation request (RFC 7009 §2.1).

        1. The client authenticates; a public one names itself.
        2. token is there. token_type_hint only hints, so the token's form decides.
        3. A token of ours that cannot be revoked is named as such (§2.2.1).
        4. It was issued to this client: revoke. To another: refuse. Unknown: already gone.
        Raises `InvalidClient`, `InvalidRequest`, `UnsupportedTokenType`, `InvalidGrant`.
        """
        # 1. and 2.
        client = await self._clients.authenticate(request, form)
        text = parameter(form, "token")
        # 3.
        if self._tokens.read_id_token(text) is not None:
            raise UnsupportedTokenType("an ID token cannot be revoked; sign the person out instead")
        # 4.
        asked = RevocationRequest(client, self._access_token(text), text, self._clock())
        if asked.access is None and "." in text:
            return
        if not await self._writer.submit(asked):
            raise InvalidGrant(FOREIGN)

    def close(self) -> None:
        """Commit what was given, then stop."""
        self._writer.close()

    def _access_token(self, text: str) -> VerifiedToken | None:
        try:
            return self._tokens.verify_access_token(text, audience=None, now=self._clock())
        except InvalidToken:
            return None

    def _apply(self, tx: Tx, requests: Sequence[RevocationRequest]) -> list[bool]:
        """Whether each was this client's to give back (or nobody's)."""
        named = families.families(tx, {families.family_in(each.token) for each in requests})
        answers = []
        for request in requests:
            family = named.get(families.family_in(request.token))
            number = refresh.number_of(self._database.cipher, family, request.token)
            target = judge(request, family if number else None)
            if target is not None:
                self._end(tx, request, target)
            answers.append(target is not None)
        return answers

    def _end(self, tx: Tx, request: RevocationRequest, target: Target) -> None:
        if target.family:
            families.revoke_families(
                self._database, tx, [target.family], "revoked", request.now, ACCESS_TOKEN_LIFETIME
            )
            details = {"family": target.family}
        elif target.until is not None:
            families.revoke(self._database, tx, {target.jti: target.until})
            details = {"jti": target.jti}
        else:
            return
        entry = Entry(
            kind="idp.token_revoked", actor=request.client.actor, at=request.now, details=details
        )
        self._ledger.append(tx, entry)


def judge(request: RevocationRequest, family: Family | None) -> Target | None:
    """What the request ends; `family` is that of a refresh token. None when the token is another
    client's (RFC 7009 §2.1)."""
    mine = request.client.client_id
    if request.access is not None:
        if request.access.client_id != mine:
            return None
        until = datetime.fromtimestamp(request.access.expires_at, UTC) + families.CLOCK_LEEWAY
        return Target(request.access.family, request.access.jti, until)
    if family is None:
        return Target()
    return Target(family.id) if family.client_id == mine else None
