"""What a client may have for itself: plain values."""

import pytest

from idp.protocol.errors import InvalidScope, InvalidTarget, UnauthorizedClient
from idp.token.grants import GRANTS
from idp.token.grants.client_credentials import ClientCredentials
from tests.idp.values import NOW, RESOURCE, a_client
from tests.idp.world import ISSUER

API = f"{ISSUER}/api/v1"
CLIENT = a_client(
    grant_types=("client_credentials",),
    scopes=("openid", "verifications", "receipts", "profile"),
)
APP = a_client(profile="public", token_endpoint_auth_method="none")


@pytest.fixture
def grant(grant_type):
    return grant_type(ClientCredentials)


def checked(grant, form, client=CLIENT):
    return grant.check(form, client, {"jkt": "x"}, NOW)


@pytest.mark.parametrize(
    ("form", "scopes", "resources"),
    [
        ({}, ("verifications", "receipts"), ()),
        ({"scope": ""}, ("verifications", "receipts"), ()),
        ({"scope": "receipts XX receipts"}, ("receipts",), ()),
        ({"scope": "receipts verifications"}, ("receipts", "verifications"), ()),
        ({"resource": RESOURCE}, ("verifications", "receipts"), (RESOURCE,)),
    ],
)
def test_a_client_gets_what_it_asks_for_or_all_that_is_its_own(grant, form, scopes, resources):
    request = checked(grant, form)

    assert (request.client, request.now) == (CLIENT, NOW)
    assert (request.scopes, request.resources) == (scopes, resources)


def test_each_token_has_an_id_of_its_own(grant):
    one, other = checked(grant, {}), checked(grant, {})

    assert one.jti != other.jti
    assert len(one.jti) == 22  # 128 bits


@pytest.mark.parametrize(
    ("form", "refusal", "why"),
    [
        ({"scope": 'receipts "'}, InvalidScope, "not a space-separated list"),
        ({"scope": "openid"}, InvalidScope, "not registered for the scope openid by itself"),
        ({"scope": "receipts email"}, InvalidScope, "not registered for the scope email by"),
        ({"scope": "XX XX"}, InvalidScope, "no scope that is asked for is known here"),
        ({"resource": API}, InvalidTarget, "not registered for this resource"),
        ({"resource": f"{RESOURCE} {API}"}, InvalidTarget, "not registered for this resource"),
    ],
)
def test_it_gets_nothing_beyond_its_registration(grant, form, refusal, why):
    with pytest.raises(refusal, match=why):
        checked(grant, form)


def test_who_has_no_resource_may_name_our_own_api(grant):
    plain = a_client(resources=())

    assert checked(grant, {"resource": API}, plain).resources == (API,)
    with pytest.raises(InvalidTarget):
        checked(grant, {"resource": RESOURCE}, plain)


def test_who_cannot_authenticate_gets_nothing_and_is_not_registered_for_it(grant):
    with pytest.raises(UnauthorizedClient, match="not registered for client_credentials"):
        checked(grant, {}, APP)

    assert ClientCredentials.objection(APP, GRANTS) == "client_credentials needs authentication"
    assert ClientCredentials.objection(CLIENT, GRANTS) == ""


def test_what_was_checked_is_granted(grant, sqlite_database):
    requests = [checked(grant, {"resource": RESOURCE}), checked(grant, {"scope": "receipts"})]

    with sqlite_database.write() as tx:
        made = grant.redeem(tx, requests)

    assert made == [grant.granted(request) for request in requests]
    for request, each in zip(requests, made, strict=True):
        assert (each.client, each.scopes) == (CLIENT, request.scopes)
        assert (each.resources, each.jti) == (request.resources, request.jti)
        assert (each.authorization, each.refresh_token, each.id_token) == (None, None, False)
