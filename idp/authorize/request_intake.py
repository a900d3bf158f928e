"""An authorization request arrives, by one of three ways, and leaves as one checked value.

    parameters ──────────────────────────┐
    a signed object (RFC 9101) ─ read ───┼─▶ check_authorization ───────▶ AuthorizationRequest
    a push (RFC 9126) ───────────────────┘                            └─▶ Refused

Whatever way it came, the same rules apply; nothing is decided here.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from idp.authorize import request_objects
from idp.authorize.authorization import check_authorization
from idp.authorize.rules import RequestRefused
from idp.clients.service import Clients
from idp.models import Client
from idp.protocol.authorizations import AuthorizationRequest
from idp.protocol.errors import AuthorizationError
from idp.token.tokens import Tokens


class RequestIntake:
    """`check(params, client, …)`: the request as a checked value, or why not."""

    def __init__(self, clients: Clients, tokens: Tokens, issuer: str) -> None:
        self._clients = clients
        self._tokens = tokens
        self._issuer = issuer

    def check(
        self, params: Mapping[str, str], client: Client | None, *, pushed: bool, now: datetime
    ) -> AuthorizationRequest | RequestRefused:
        """May wait for a client's key set from the network: never inside a transaction.

        1. A signed object replaces every other parameter.      RFC 9101 §6.3
        2. A hint about the person is one of our ID tokens.     OIDC Core §3.1.2.1
        3. The rules.
        """
        signed = bool(params.get("request")) and client is not None
        # 1.
        if signed and client is not None:
            try:
                params = self._opened(params, client, now)
            except AuthorizationError as refusal:
                # Nothing in it is believed, its redirect_uri least of all.
                return RequestRefused(refusal.error, refusal.detail, client_uri=client.way_back)
        # 2.
        hint = self._tokens.read_id_token(params.get("id_token_hint", ""))
        # 3.
        return check_authorization(
            params, client, issuer=self._issuer, now=now, pushed=pushed, signed=signed, hint=hint
        )

    async def check_later(
        self, params: Mapping[str, str], client: Client, *, pushed: bool, now: datetime
    ) -> AuthorizationRequest | RequestRefused:
        """`check` for the fast lane: keys that are not at hand are waited for before it begins."""
        if text := params.get("request"):
            with suppress(AuthorizationError):  # `check` will say it
                await self._clients.jwks_later(client, request_objects.kid(text))
        return self.check(params, client, pushed=pushed, now=now)

    def _opened(self, params: Mapping[str, str], client: Client, now: datetime) -> dict[str, str]:
        if params.get("request_uri"):
            raise AuthorizationError(
                "invalid_request", "request and request_uri exclude each other"
            )
        text = params["request"]
        jwks = self._clients.jwks_of(client, request_objects.kid(text))
        return request_objects.read(text, client, jwks, issuer=self._issuer, now=now)
