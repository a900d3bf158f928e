"""Attack 4: two providers, and a client that is sent to the wrong one (RFC 9700 §4.4, RFC 9207)."""

import pytest

from server.sandbox.visitors import Browser, RelyingParty, Surprise
from tests.clients.conftest import PASSWORD, REDIRECT_URI, Site

USER = "chen-jingyi"


@pytest.fixture
def providers(tmp_path):
    """Two providers where the same client is registered under the same name."""
    sites = [Site(tmp_path / name) for name in ("honest", "attackers")]
    for site in sites:
        site.client(
            "app",
            profile="public",
            token_endpoint_auth_method="none",
            redirect_uris=(REDIRECT_URI,),
            grant_types=("authorization_code",),
            scopes=("openid", "profile"),
        )
    yield sites
    for site in sites:
        site.stop()


def test_04_a_client_that_looks_at_iss_does_not_hand_its_code_to_the_wrong_provider(providers):
    honest, attackers = providers
    party = RelyingParty(honest.issuer, "app", REDIRECT_URI, "openid profile")

    good = party.sign_in(Browser(honest.issuer), USER, PASSWORD)
    with pytest.raises(Surprise, match="did not come back"):
        party.sign_in(Browser(attackers.issuer), USER, PASSWORD)

    assert good.claims["iss"] == honest.issuer
