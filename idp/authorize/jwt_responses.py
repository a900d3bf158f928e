"""Authorization responses as signed tokens (JWT Secured Authorization Response Mode, JARM).

- A response says who it is from and who it is for (`iss`, `aud`): one that another provider made,
  or one that was made for another client, is worth nothing (mix-up, code injection).
- A refusal is signed just as a code is; nothing stands beside the token, `iss` neither (RFC 9207
  §2.4: it is in the token).
- Signed first, then encrypted where the client is registered so, as everything is that only one
  client may read.
- Its type makes it no ID token and no access token (RFC 8725 §3.11).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from foundation.clock import Clock
from idp.authorize.rules import Granted, RequestRefused
from idp.clients.service import Clients
from idp.protocol import encryption
from idp.protocol.profiles import authorization_algorithm
from idp.token.tokens import Tokens

TYPE: Final = "oauth-authz-resp+jwt"
LIFETIME: Final = timedelta(minutes=5)  # §2.1: ten at most; the code in it lives for one
# How the one parameter travels (§2.3.1, §2.3.3, §2.3.4).
CARRIED_BY: Final[Mapping[str, str]] = {
    "jwt": "query",
    "query.jwt": "query",
    "form_post.jwt": "form_post",
}


class JwtResponses:
    """`secured(answer)`: the same answer in one parameter, `response`, if its mode wants that."""

    def __init__(self, clients: Clients, tokens: Tokens, clock: Clock) -> None:
        self._clients = clients
        self._tokens = tokens
        self._clock = clock

    def secured(self, answer: Granted | RequestRefused) -> Granted | RequestRefused:
        """Signs, and may wait for a client's key set from the network: never on the event loop,
        never inside a transaction. Raises `Unavailable` while a key cannot be had.
        """
        carrier = CARRIED_BY.get(answer.response_mode)
        if carrier is None:
            return answer
        assert answer.client is not None, "nobody but a registered client is answered so"
        client = self._clients.with_keys_now(answer.client, "authorization")
        said = claims(client.client_id, self._tokens.issuer, answer.parameters, self._clock())
        algorithm = authorization_algorithm(client)
        signed = self._tokens.sign(client, said, typ=TYPE, algorithm=algorithm)
        token = encryption.for_client(client, "authorization", signed)
        return replace(answer, parameters=(("response", token),), response_mode=carrier)


def claims(
    client_id: str, issuer: str, parameters: tuple[tuple[str, str], ...], now: datetime
) -> dict[str, Any]:
    """What a response token says: the parameters of the answer, and whose it is (§2.1)."""
    seconds = int(now.timestamp())
    return {
        **dict(parameters),
        "iss": issuer,
        "aud": client_id,
        "iat": seconds,
        "exp": seconds + int(LIFETIME.total_seconds()),
    }
