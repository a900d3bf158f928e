"""The provider tells machines what it can do, and tells the truth."""

import pytest

from idp.clients.mtls import ClientCertificates
from idp.token.grants import GRANTS
from idp.web import discovery
from tests.idp.proofs import authority
from tests.idp.world import ISSUER, World


def test_both_documents_say_the_same_and_name_this_issuer(world: World):
    openid = world.http.get("/.well-known/openid-configuration")
    oauth = world.http.get("/.well-known/oauth-authorization-server")

    assert openid.json() == oauth.json()
    assert openid.json()["issuer"] == ISSUER


def test_every_endpoint_it_names_exists(world: World):
    known = {getattr(route, "path", "") for route in _routes(world)}
    document = world.http.get("/.well-known/openid-configuration").json()
    named = {
        value.removeprefix(ISSUER) for key, value in document.items() if key.endswith("_endpoint")
    }

    assert named <= known


def test_it_promises_no_flow_that_is_refused(world: World):
    document = world.http.get("/.well-known/openid-configuration").json()

    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert "none" not in document["id_token_signing_alg_values_supported"]
    assert document["authorization_response_iss_parameter_supported"] is True


@pytest.mark.parametrize(
    ("proxies", "authorities", "methods"),
    [
        ([], [], set()),
        ([], [authority().certificate], set()),
        (["127.0.0.1"], [], {"self_signed_tls_client_auth"}),
        (
            ["127.0.0.1"],
            [authority().certificate],
            {"self_signed_tls_client_auth", "tls_client_auth"},
        ),
    ],
)
def test_certificates_are_listed_only_where_they_can_arrive(proxies, authorities, methods):
    """RFC 8414 §2 and RFC 8705 §3.3: what is listed is supported."""
    told = discovery.metadata(ISSUER, GRANTS, ClientCertificates(proxies, authorities))

    for name in ("token", "introspection", "revocation"):
        listed = told[f"{name}_endpoint_auth_methods_supported"]
        assert {each for each in listed if "tls" in each} == methods
    assert told["tls_client_certificate_bound_access_tokens"] is bool(methods)
    assert "mtls_endpoint_aliases" not in told


def _routes(world: World):
    from idp.web.routes import router

    return router(world.idp).routes
