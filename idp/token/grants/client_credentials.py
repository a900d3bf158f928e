"""The client acts for itself (RFC 6749 §4.4): no person, no refresh token, no ID token."""

from collections.abc import Mapping

from idp.models import Client
from idp.protocol import resources
from idp.protocol.claims import SCOPE_CLAIMS
from idp.protocol.errors import InvalidScope, InvalidTarget, UnauthorizedClient
from idp.protocol.syntax import SCOPE
from idp.token.tokens import Grant

GRANT_TYPE = "client_credentials"


def check(form: Mapping[str, str], client: Client, *, api_audience: str) -> Grant:
    """May `client` have what it asks for?

    1. Only a confidential client registered for this grant (RFC 6749 §4.4).
    2. Scopes within the registration; none asked means all it has (RFC 6749 §3.3). Scopes that
       tell about a person make no sense here.
    3. The resource is one it is registered for (RFC 8707 §2.2).
    """
    # 1.
    if not client.confidential or GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("the client is not registered for client_credentials")
    # 2.
    own = tuple(scope for scope in client.scopes if scope not in SCOPE_CLAIMS)
    text = form.get("scope", "")
    if text and not SCOPE.match(text):
        raise InvalidScope("scope is not a space-separated list")
    scopes = tuple(dict.fromkeys(text.split(" "))) if text else own
    for scope in scopes:
        if scope not in own:
            raise InvalidScope(f"the client is not registered for the scope {scope} by itself")
    # 3.
    own_resources = client.resources or (api_audience,)
    audience = resources.asked(form) or own_resources[:1]
    if not set(audience) <= set(own_resources):
        raise InvalidTarget("the client is not registered for this resource")
    return Grant(client=client, scopes=scopes, audience=audience)
