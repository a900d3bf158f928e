"""Client profiles: how strict we are with whom, in one table.

    fapi2      confidential clients, and the default: FAPI 2.0 Security Profile §5.3.2
    standard   confidential clients that speak plain OpenID Connect: RFC 9700 §2
    public     browser and native apps: RFC 9700 §2.1.1, RFC 8252, with DPoP (RFC 9449)

What is the same for all is no row: authorization code only, no implicit and no password grant, PKCE
with S256 and never plain, `iss` in every response, codes that live a minute and work once, and
PS256, ES256 or EdDSA wherever a client signs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from idp.models import AuthMethod, Client, Profile

SIGNATURE_ALGORITHM: Final = "ES256"


SIGNING_ALGORITHMS: Final = ("ES256", "PS256", "EdDSA")  # FAPI 2.0 §5.4.1, for every profile
CERTIFICATE_METHODS: Final[tuple[AuthMethod, ...]] = (
    "tls_client_auth",
    "self_signed_tls_client_auth",
)


@dataclass(frozen=True, slots=True)
class Rules:
    """One row. `may_rely_on_nonce`: a client may be registered to use OpenID Connect's nonce in
    place of PKCE (RFC 9700 §2.1.1).
    """

    auth_methods: tuple[AuthMethod, ...]
    must_push: bool
    sender_constrained: bool
    may_rely_on_nonce: bool
    response_modes: tuple[str, ...]


PROFILES: Final[Mapping[Profile, Rules]] = MappingProxyType(
    {
        "fapi2": Rules(
            auth_methods=("private_key_jwt", *CERTIFICATE_METHODS),  # §5.3.2.1 no. 6
            must_push=True,  # §5.3.2.2 no. 3
            sender_constrained=True,  # §5.3.2.1 no. 4, 5
            may_rely_on_nonce=False,  # §5.3.2.2 no. 5
            response_modes=("query",),
        ),
        "standard": Rules(
            auth_methods=("client_secret_basic", "client_secret_post", "private_key_jwt"),
            must_push=False,
            sender_constrained=False,
            may_rely_on_nonce=True,
            response_modes=("query", "form_post"),
        ),
        "public": Rules(
            auth_methods=("none",),
            must_push=False,
            sender_constrained=True,  # RFC 9700 §2.2.2: or rotation; here it is both
            may_rely_on_nonce=False,
            response_modes=("query",),
        ),
    }
)


def rules_of(client: Client) -> Rules:
    """The row of the table that holds for `client`."""
    return PROFILES[client.profile]


def needs_proof(client: Client) -> bool:
    """Whether every token of `client` is bound to a DPoP key: registered so (RFC 9449 §5.2), or
    because its profile wants a bound token and no certificate binds it."""
    if client.dpop_bound_access_tokens:
        return True
    bound_otherwise = client.tls_client_certificate_bound_access_tokens
    return rules_of(client).sender_constrained and not bound_otherwise


def must_push(client: Client) -> bool:
    """Whether the client's requests count only when pushed (RFC 9126 §6)."""
    return rules_of(client).must_push or client.require_pushed_authorization_requests
