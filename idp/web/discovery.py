"""What this provider can do, told to machines (OIDC Discovery 1.0 §3, RFC 8414 §2).

Only what is really there is listed: certificates count only where a proxy is trusted to hand them
on. The document never changes while a process runs, so it is encoded once.
"""

from collections.abc import Sequence
from typing import Any, Final

from idp.accounts import authenticators
from idp.clients.mtls import ClientCertificates
from idp.models import LOCALES
from idp.protocol import encryption
from idp.protocol.claims import CLAIMS, SCOPE_CLAIMS
from idp.protocol.grant_types import GrantTypes, response_types
from idp.protocol.profiles import SIGNING_ALGORITHMS, response_modes

AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt")
# RFC 8705 §5: where a client that shows its certificate goes instead. The browser's two pages are
# not among them: a second address exists so that browsers are not asked for certificates.
WITH_CERTIFICATE: Final = {
    "token_endpoint": "/oauth/token",
    "revocation_endpoint": "/oauth/revoke",
    "introspection_endpoint": "/oauth/introspect",
    "pushed_authorization_request_endpoint": "/oauth/par",
    "device_authorization_endpoint": "/oauth/device",
    "userinfo_endpoint": "/oauth/userinfo",
}


def metadata(
    issuer: str,
    offered: GrantTypes,
    certificates: ClientCertificates,
    algorithms: Sequence[str] = SIGNING_ALGORITHMS,
) -> dict[str, Any]:
    """The authorization server's metadata, common to both documents.

    `algorithms` are those of the profiles that the operator allows (`profiles.algorithms`).
    """
    methods = [*AUTH_METHODS, *certificates.methods]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "registration_endpoint": f"{issuer}/oauth/register",
        "device_authorization_endpoint": f"{issuer}/oauth/device",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "jwks_uri": f"{issuer}/keys/jwks.json",
        "response_types_supported": list(response_types(offered)),
        "response_modes_supported": list(response_modes()),
        "pushed_authorization_request_endpoint": f"{issuer}/oauth/par",
        "require_pushed_authorization_requests": False,
        "dpop_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "request_object_signing_alg_values_supported": list(algorithms),
        "require_signed_request_object": False,
        **_certificates(certificates),
        "grant_types_supported": list(offered),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": list(algorithms),
        "authorization_signing_alg_values_supported": list(algorithms),
        "userinfo_signing_alg_values_supported": list(algorithms),
        "introspection_signing_alg_values_supported": list(algorithms),
        **_encryption(),
        "token_endpoint_auth_methods_supported": [*methods, "none"],
        "token_endpoint_auth_signing_alg_values_supported": list(algorithms),
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": list(algorithms),
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": list(algorithms),
        "scopes_supported": list(SCOPE_CLAIMS),
        "claim_types_supported": ["normal"],
        "claims_supported": ["sub", "iss", "auth_time", "acr", "amr", "sid", *CLAIMS],
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": False,
        "acr_values_supported": authenticators.levels(),
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "ui_locales_supported": list(LOCALES),
    }


def _certificates(certificates: ClientCertificates) -> dict[str, Any]:
    """RFC 8705 §3.3 and §5, as far as this server is set up for certificates."""
    told: dict[str, Any] = {
        "tls_client_certificate_bound_access_tokens": bool(certificates.methods)
    }
    if certificates.address:
        aliases = {name: certificates.address + path for name, path in WITH_CERTIFICATE.items()}
        told["mtls_endpoint_aliases"] = aliases
    return told


def _encryption() -> dict[str, list[str]]:
    """What can be encrypted, how (OIDC Discovery §3, RFC 9701 §7, JARM §4)."""
    told = {}
    for kind in encryption.KINDS:
        told[f"{kind}_encryption_alg_values_supported"] = list(encryption.KEY_ALGORITHMS)
        told[f"{kind}_encryption_enc_values_supported"] = list(encryption.CONTENT_ALGORITHMS)
    return told
