"""The client acts for itself (RFC 6749 §4.4): no person, no refresh token, no ID token."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from foundation.database import Tx
from idp.models import Client
from idp.protocol import resources, scopes
from idp.protocol.claims import SCOPE_CLAIMS
from idp.protocol.errors import InvalidScope, InvalidTarget, UnauthorizedClient
from idp.protocol.grant_types import GrantTypes
from idp.token.grants.grant_type import GrantType
from idp.token.tokens import JTI_BYTES, Grant


@dataclass(frozen=True, slots=True)
class OwnTokenRequest:
    """A well-formed request for a token of the client's own."""

    client: Client
    scopes: tuple[str, ...]
    resources: tuple[str, ...]  # (): its first
    now: datetime
    jti: str


class ClientCredentials(GrantType[OwnTokenRequest]):
    """Only for clients that authenticate."""

    grant_type = label = "client_credentials"
    parameters = ("scope", "resource")
    repeated = resources.REPEATED

    @classmethod
    def objection(cls, client: Client, offered: GrantTypes) -> str:
        """Objects to a public client: it has nothing to authenticate with (RFC 6749 §4.4)."""
        return "" if client.confidential else "client_credentials needs authentication"

    def check(
        self,
        form: Mapping[str, str],
        client: Client,
        confirmation: Mapping[str, str],
        now: datetime,
    ) -> OwnTokenRequest:
        """May `client` have what it asks for?

        1. Only a confidential client (RFC 6749 §4.4).
        2. Scopes within the registration; none asked means all it has (RFC 6749 §3.3). Scopes that
           tell about a person make no sense here.
        3. The resource is one it is registered for (RFC 8707 §2.2).
        """
        # 1.
        if not client.confidential:
            raise UnauthorizedClient("the client is not registered for client_credentials")
        # 2.
        own = tuple(scope for scope in client.scopes if scope not in SCOPE_CLAIMS)
        wanted = scopes.understood(form.get("scope", ""), client) or own
        for scope in wanted:
            if scope not in own:
                raise InvalidScope(f"the client is not registered for the scope {scope} by itself")
        # 3.
        asked = resources.asked(form)
        if not set(asked) <= set(client.resources or (self._tokens.api_audience,)):
            raise InvalidTarget("the client is not registered for this resource")
        return OwnTokenRequest(client, wanted, asked, now, secrets.token_urlsafe(JTI_BYTES))

    def granted(self, request: OwnTokenRequest) -> Grant:
        """The database has no say in it."""
        return Grant(
            client=request.client,
            scopes=request.scopes,
            resources=request.resources,
            jti=request.jti,
        )

    def redeem(self, tx: Tx, requests: Sequence[OwnTokenRequest]) -> list[Grant]:
        """Nothing is used up: only the ledger keeps a trace, with the id of the token."""
        return [self.granted(request) for request in requests]
