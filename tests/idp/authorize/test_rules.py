"""The pure rules, without any provider around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.clients.registration import check
from idp.models import Client
from idp.protocol.acr import ACR_PASSWORD, ACR_TWO_FACTORS, acr_of, acr_satisfies
from idp.protocol.errors import InvalidClientMetadata, InvalidToken
from idp.protocol.syntax import redirect_uri_problem, with_query
from idp.token.grants import GRANTS
from tests.idp.world import PURPOSE, REDIRECT_URI


def client(**changes) -> Client:
    fields = {
        "client_id": "food-office",
        "name": PURPOSE,
        "purpose": PURPOSE,
        "organisation": "x" * 18,
        "organisation_name": "X",
        "profile": "standard",
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": (REDIRECT_URI,),
        **changes,
    }
    return Client(**fields)


def test_a_sound_registration_passes():
    check(client(), GRANTS)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"client_id": "p_chen"}, "/client_id"),
        ({"client_id": "a/b"}, "/client_id"),
        ({"purpose": {"en": "Food"}}, "/purpose/zh-Hans"),
        ({"redirect_uris": ()}, "/redirect_uris"),
        ({"redirect_uris": ("http://food.example/",)}, "/redirect_uris/0"),
        ({"redirect_uris": ("https://food.example/#x",)}, "/redirect_uris/0"),
        ({"redirect_uris": ("https://food.example/*",)}, "/redirect_uris/0"),
        ({"redirect_uris": ("https://a@b.example/",)}, "/redirect_uris/0"),
        ({"redirect_uris": ("javascript:alert(1)",)}, "/redirect_uris/0"),
        ({"redirect_uris": ("myapp:/cb",)}, "/redirect_uris/0"),
        ({"post_logout_redirect_uris": ("//x",)}, "/post_logout_redirect_uris/0"),
        ({"grant_types": ("implicit",)}, "/grant_types"),
        ({"grant_types": ("refresh_token",)}, "/grant_types"),
        ({"profile": "public"}, "/token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "none"}, "/token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "/jwks"),
        ({"scopes": ("openid", "profile")}, "/claims"),
        ({"scopes": ("a b",)}, "/scopes"),
        ({"claims": ("shoe_size",)}, "/claims"),
    ],
)
def test_a_registration_that_breaks_a_rule_is_refused_at_its_field(changes, pointer):
    with pytest.raises(InvalidClientMetadata) as caught:
        check(client(**changes), GRANTS)

    assert pointer in [error.pointer for error in caught.value.errors]


def test_a_private_key_is_never_accepted_as_a_clients_public_key():
    jwk = {"kty": "EC", "crv": "P-256", "x": "a" * 43, "y": "a" * 43, "d": "a" * 43}

    with pytest.raises(InvalidClientMetadata):
        check(client(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jwk]}), GRANTS)


def test_loopback_and_private_use_schemes_are_for_apps():
    assert redirect_uri_problem("http://127.0.0.1:8080/cb") is None
    assert redirect_uri_problem("http://[::1]/cb") is None
    assert redirect_uri_problem("cn.gov.example.app:/cb") is None


@given(st.text())
def test_no_text_makes_the_redirect_check_fail_to_answer(text):
    redirect_uri_problem(text)


def test_two_kinds_of_proof_make_two_factors_and_twice_the_same_do_not():
    assert acr_of(["pwd"]) == ACR_PASSWORD
    assert acr_of(["pwd", "otp"]) == ACR_TWO_FACTORS
    assert acr_of(["otp", "hwk"]) == ACR_PASSWORD


def test_a_higher_level_satisfies_a_lower_wish_and_foreign_wishes_are_only_wishes():
    assert acr_satisfies(ACR_TWO_FACTORS, [ACR_PASSWORD])
    assert not acr_satisfies(ACR_PASSWORD, [ACR_TWO_FACTORS])
    assert acr_satisfies(ACR_PASSWORD, ["urn:somebody:gold"])


def test_a_query_is_kept_when_parameters_are_added():
    assert with_query("https://a/?x=1", (("b", "é&"),)) == "https://a/?x=1&b=%C3%A9%26"
    assert with_query("https://a/cb?", (("code", "1"),)) == "https://a/cb?code=1"
    assert with_query("https://a/cb?x=1&", (("code", "1"),)) == "https://a/cb?x=1&code=1"
    assert with_query("https://a/cb", (("code", "1"),)) == "https://a/cb?code=1"


def test_a_challenge_cannot_be_broken_out_of():
    text = InvalidToken('say "hi"\r\nSet-Cookie: x=1').challenge

    assert "\r" not in text
    assert "\n" not in text
    assert text.count('"') == 4
