"""A resource server asks another one on a person's behalf (token exchange, RFC 8693).

Delegation, never impersonation: the new token says in `act` who acts (§4.1), and the person reads
it in their history. Its policy is narrower than the standard's:

- only a confidential client that is registered for the grant and is itself a resource server;
- only our own live access tokens about a person, of which the client is an audience;
- only targets that an operator approved for this client, and never our own API: a licence is read
  by whoever has a purpose of their own, a legal basis and an entry for it;
- never more scope or life than the subject token, nothing that opens the person's profile;
- bound to the sender, and dead with the family of the subject token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from foundation.database import Tx
from idp.models import Client
from idp.protocol import resources
from idp.protocol import scopes as scopes_in
from idp.protocol.claims import SCOPE_CLAIMS
from idp.protocol.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
)
from idp.protocol.grant_types import GrantTypes
from idp.protocol.syntax import parameter
from idp.token.grants.grant_type import GrantType, NotRedeemed
from idp.token.standing import Standing, ids_of, standings
from idp.token.tokens import Grant, VerifiedToken
from ledger import Entry

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - §3
LONGEST_CHAIN: Final = 4  # of acting clients, the present one included
# Said of every token that does not count, whatever the reason; the error is §2.2.2's.
NOT_LIVE: Final = "the subject token does not count, or is not meant for this client"


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """A well-formed request by a client that may act on the subject token."""

    client: Client
    subject: VerifiedToken
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    now: datetime


class TokenExchange(GrantType[ExchangeRequest]):
    """Only for confidential resource servers, to targets that were approved."""

    grant_type = "urn:ietf:params:oauth:grant-type:token-exchange"
    label = "token exchange"
    parameters = (
        *("subject_token", "subject_token_type", "requested_token_type"),
        *("actor_token", "actor_token_type", "audience", "scope", "resource"),
    )
    repeated = resources.REPEATED

    @classmethod
    def objection(cls, client: Client, offered: GrantTypes) -> str:
        """Objects to whoever cannot be an audience, or has no approved target."""
        if not client.confidential:
            return "token exchange needs authentication"
        if not client.resource_server:
            return "token exchange is for resource servers: resource_server is missing"
        return "" if client.exchange_targets else "exchange_targets names no approved target"

    def check(
        self,
        form: Mapping[str, str],
        client: Client,
        confirmation: Mapping[str, str],
        now: datetime,
    ) -> ExchangeRequest:
        """May `client` have such a token? (RFC 8693 §2.1)

        1. An access token for an access token, and nobody else is named as the actor.
        2. The subject token is ours, in time, and the client is one of its audiences.
        3. The target is approved for the client, and is not our own API.
        4. Scope within the subject token's; none asked means all of it that may be passed on.
        5. The new token will be bound to its sender.
        Raises `OAuthError`.
        """
        # 1.
        text = parameter(form, "subject_token")
        if parameter(form, "subject_token_type") != ACCESS_TOKEN:
            raise InvalidRequest(f"subject_token_type must be {ACCESS_TOKEN}")
        if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
            raise InvalidRequest(f"requested_token_type must be {ACCESS_TOKEN}")
        if form.get("actor_token") or form.get("actor_token_type"):
            raise InvalidRequest("the authenticated client is the actor; actor_token is not taken")
        # 2.
        subject = self._subject(text, client, now)
        # 3.
        target = self._target(form, client)
        # 4.
        scopes = _scopes(form.get("scope", ""), subject)
        # 5.
        if not confirmation:
            raise InvalidRequest("an exchanged token is bound: send a DPoP proof or a certificate")
        return ExchangeRequest(client, subject, scopes, target, now)

    def redeem(self, tx: Tx, requests: Sequence[ExchangeRequest]) -> list[Grant | NotRedeemed]:
        """Which subject tokens count right now: neither revoked nor their family, client, person.
        Four queries whatever the size of the batch."""
        wanted = [ids_of(each.subject) for each in requests]
        known = self._clients.known(tx, list({ids.client_id for ids in wanted}))
        living = standings(tx, set(wanted), known, self._clients.known)
        return [
            _exchanged(request, living.get(ids))
            for request, ids in zip(requests, wanted, strict=True)
        ]

    def entries(self, request: ExchangeRequest, result: Grant | NotRedeemed) -> list[Entry]:
        """The person reads who asks whom on their behalf, and for what purpose."""
        if isinstance(result, NotRedeemed) or result.authorization is None:
            return []
        said = {
            "scope": " ".join(result.scopes),
            "target": " ".join(result.resources),
            "on_behalf_of": request.subject.client_id,
            "family": result.family,
        }
        entry = Entry(
            kind="idp.token_exchanged",
            actor=request.client.actor,
            at=request.now,
            subject=result.authorization.subject,
            purpose=request.client.purpose["zh-Hans"],
            details=said,
        )
        return [entry]

    def _subject(self, text: str, client: Client, now: datetime) -> VerifiedToken:
        try:
            return self._tokens.verify_access_token(text, audience=client.resource_server, now=now)
        except InvalidToken:
            raise InvalidRequest(NOT_LIVE) from None

    def _target(self, form: Mapping[str, str], client: Client) -> tuple[str, ...]:
        """RFC 8693 §2.2.2: a target that is not acceptable is invalid_target."""
        asked = resources.asked(form)
        if form.get("audience") or len(asked) > 1:
            raise InvalidTarget("name one target, by resource")
        target = asked or client.exchange_targets[:1]
        ours = target[0] == self._tokens.issuer or target[0].startswith(self._tokens.api_audience)
        if ours or target[0] not in client.exchange_targets:
            raise InvalidTarget("the client is not approved for exchange towards this target")
        return target


def _scopes(text: str, subject: VerifiedToken) -> tuple[str, ...]:
    """What the new token allows. Scopes of OpenID Connect stay behind: they open the profile of the
    person, who allowed that to somebody else."""
    theirs = str(subject.claims.get("scope", "")).split()
    passed_on = [each for each in theirs if each not in SCOPE_CLAIMS]
    scopes = scopes_in.values(text) or tuple(passed_on)
    if not set(scopes) <= set(passed_on):
        raise InvalidScope("scope goes beyond what the subject token can pass on")
    if not scopes:
        raise InvalidScope("the subject token has no scope that can be passed on")
    return scopes


def _exchanged(request: ExchangeRequest, standing: Standing | None) -> Grant | NotRedeemed:
    if standing is None or standing.family is None:
        return NotRedeemed(InvalidRequest(NOT_LIVE))
    acting = _acting(request.client, request.subject.claims.get("act"))
    if acting is None:
        return NotRedeemed(InvalidRequest(f"more than {LONGEST_CHAIN} clients would act"))
    return Grant(
        client=request.client,
        scopes=request.scopes,
        resources=request.resources,
        family=standing.family.id,
        authorization=standing.family.authorization,
        act=acting,
        ends_at=request.subject.expires_at,
        issued_token_type=ACCESS_TOKEN,
    )


def _acting(client: Client, before: Any) -> dict[str, Any] | None:
    """The claim `act` (§4.1): who acts now, and inside it who acted before. None: too many."""
    acting: dict[str, Any] = {"sub": client.client_id}
    if before is not None:
        acting["act"] = before
    depth, each = 0, acting
    while isinstance(each, dict):
        depth, each = depth + 1, each.get("act")  # type: ignore[assignment]
    return acting if depth <= LONGEST_CHAIN else None
