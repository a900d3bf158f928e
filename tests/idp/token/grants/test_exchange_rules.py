"""Which tokens may be exchanged: forms and plain values, one thing changed."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from idp.protocol.errors import InvalidRequest, InvalidScope, InvalidTarget
from idp.token.grants import GRANTS, token_exchange
from idp.token.grants.grant_type import NotRedeemed
from idp.token.grants.token_exchange import (
    ACCESS_TOKEN,
    NOT_LIVE,
    ExchangeRequest,
    TokenExchange,
)
from idp.token.standing import Standing
from idp.token.tokens import Grant
from tests.idp.values import NOW, THUMBPRINT, a_client, a_family, an_authorization
from tests.idp.world import ISSUER

PERMITS = "https://permits.example.gov.cn"
TAXES = "https://taxes.example.gov.cn"
ARCHIVE = "https://archive.example.gov.cn"
SCOPES = ("openid", "permits.read", "profile", "permits.list")
PORTAL = a_client(client_id="portal", scopes=SCOPES, resources=(PERMITS,))
CLIENT = a_client(
    client_id="permits",
    grant_types=(TokenExchange.grant_type,),
    redirect_uris=(),
    resource_server=PERMITS,
    exchange_targets=(TAXES, ARCHIVE, ISSUER, f"{ISSUER}/api/v1/certificates"),
)
BOUND = {"jkt": THUMBPRINT}


@pytest.fixture
def grant(grant_type, clock):
    clock.now = NOW
    return grant_type(TokenExchange)


@pytest.fixture
def token(grant):
    """Makes an access token of a person's for the permits service."""

    def make(scopes=SCOPES, resources=(PERMITS,), now=NOW):
        said = an_authorization(scopes=scopes)
        asked = Grant(client=PORTAL, scopes=scopes, resources=resources, family="family-1",
                      authorization=said)  # fmt: skip
        issued = grant._tokens.issue(asked, "sub-1", {}, now)
        return asyncio.run(issued)["access_token"]

    return make


@pytest.fixture
def checked(grant, token):
    def check(changes=None, *, client=CLIENT, confirmation=BOUND, text=None, now=NOW):
        form = {
            "subject_token": token() if text is None else text,
            "subject_token_type": ACCESS_TOKEN,
            "resource": ARCHIVE,
        } | (changes or {})
        kept = {name: value for name, value in form.items() if value is not None}
        return grant.check(kept, client, confirmation, now)

    return check


# ── who ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({}, ""),
        (
            {"profile": "public", "token_endpoint_auth_method": "none"},
            "token exchange needs authentication",
        ),
        (
            {"resource_server": ""},
            "token exchange is for resource servers: resource_server is missing",
        ),
        ({"exchange_targets": ()}, "exchange_targets names no approved target"),
    ],
)
def test_a_resource_server_with_approved_targets_may_be_registered_for_it(changes, objection):
    assert TokenExchange.objection(replace(CLIENT, **changes), GRANTS) == objection


# ── check ────────────────────────────────────────────────────────────────────────────────────


def test_a_form_becomes_a_request(checked):
    request = checked()

    assert (request.client, request.now) == (CLIENT, NOW)
    assert (request.scopes, request.resources) == (("permits.read", "permits.list"), (ARCHIVE,))
    assert request.subject.client_id == "portal"
    assert checked({"requested_token_type": ACCESS_TOKEN, "actor_token": ""}).resources == (
        ARCHIVE,
    )
    assert checked({"resource": None}).resources == (TAXES,)
    assert checked({"resource": f"{TAXES} {TAXES}"}).resources == (TAXES,)
    assert checked({"scope": "permits.list permits.list"}).scopes == ("permits.list",)
    assert checked(confirmation={"x5t#S256": "x"}).resources == (ARCHIVE,)


@pytest.mark.parametrize(
    ("changes", "refusal", "why"),
    [
        ({"subject_token": None}, InvalidRequest, "subject_token is missing"),
        ({"subject_token_type": None}, InvalidRequest, "subject_token_type is missing"),
        (
            {"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"},
            InvalidRequest,
            f"subject_token_type must be {ACCESS_TOKEN}",
        ),
        (
            {"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"},
            InvalidRequest,
            f"requested_token_type must be {ACCESS_TOKEN}",
        ),
        ({"actor_token": "x"}, InvalidRequest, "actor_token is not taken"),
        ({"actor_token_type": "x"}, InvalidRequest, "actor_token is not taken"),
        ({"subject_token": "x"}, InvalidRequest, NOT_LIVE),
        ({"audience": "taxes"}, InvalidTarget, "name one target, by resource"),
        ({"resource": f"{TAXES} {ARCHIVE}"}, InvalidTarget, "name one target, by resource"),
        ({"resource": PERMITS}, InvalidTarget, "not approved for exchange towards this target"),
        ({"resource": ISSUER}, InvalidTarget, "not approved for exchange towards this target"),
        (
            {"resource": f"{ISSUER}/api/v1/certificates"},
            InvalidTarget,
            "not approved for exchange towards this target",
        ),
        ({"scope": 'permits.read "'}, InvalidScope, "scope is not a space-separated list"),
        ({"scope": "permits.read openid"}, InvalidScope, "beyond what the subject token can pass"),
        ({"scope": "other"}, InvalidScope, "beyond what the subject token can pass"),
    ],
)
def test_a_form_that_asks_for_something_else_is_refused(checked, changes, refusal, why):
    with pytest.raises(refusal, match=why):
        checked(changes)


def test_a_token_that_is_not_meant_for_the_client_or_is_over_does_not_count(checked, token):
    for how in (
        {"text": token(resources=(TAXES,))},
        {"client": replace(CLIENT, resource_server=TAXES)},
        {"now": NOW + timedelta(minutes=10)},
    ):
        with pytest.raises(InvalidRequest, match=NOT_LIVE):
            checked(**how)


def test_a_token_that_opens_the_profile_only_has_nothing_to_pass_on(checked, token):
    with pytest.raises(InvalidScope, match="no scope that can be passed on"):
        checked(text=token(scopes=("openid", "profile")))


def test_the_new_token_is_bound(checked):
    with pytest.raises(InvalidRequest, match="send a DPoP proof or a certificate"):
        checked(confirmation={})


# ── what comes of it ─────────────────────────────────────────────────────────────────────────


class Subject:
    """What is asked of a verified token."""

    client_id = "portal"
    expires_at = 1_800_000_000

    def __init__(self, act=None):
        self.claims = {} if act is None else {"act": act}


def request(act=None):
    return ExchangeRequest(CLIENT, Subject(act), ("permits.read",), (TAXES,), NOW)


FAMILY = a_family()
ALIVE = Standing(client=PORTAL, family=FAMILY)


def chain(*names):
    act = None
    for name in names:
        act = {"sub": name} if act is None else {"sub": name, "act": act}
    return act


def test_a_living_token_becomes_one_that_says_who_acts_and_ends_with_it():
    made = token_exchange._exchanged(request(), ALIVE)

    assert isinstance(made, Grant)
    assert (made.client, made.scopes, made.resources) == (CLIENT, ("permits.read",), (TAXES,))
    assert (made.family, made.authorization) == (FAMILY.id, FAMILY.authorization)
    assert (made.act, made.ends_at) == ({"sub": "permits"}, 1_800_000_000)
    assert made.issued_token_type == ACCESS_TOKEN
    assert made.refresh_token is None


def test_a_token_without_scopes_has_nothing_to_pass_on():
    with pytest.raises(InvalidScope, match="no scope that can be passed on"):
        token_exchange._scopes("", Subject())
    with pytest.raises(InvalidScope, match="beyond what the subject token can pass on"):
        token_exchange._scopes("None", Subject())


@pytest.mark.parametrize("standing", [None, Standing(client=PORTAL, family=None)])
def test_a_token_that_does_not_stand_becomes_none(standing):
    refused = token_exchange._exchanged(request(), standing)

    assert isinstance(refused, NotRedeemed)
    assert (refused.error.error, refused.error.detail) == ("invalid_request", NOT_LIVE)


def test_four_may_act_in_a_row_and_no_fifth():
    made = token_exchange._exchanged(request(chain("a", "b", "c")), ALIVE)
    refused = token_exchange._exchanged(request(chain("a", "b", "c", "d")), ALIVE)

    assert isinstance(made, Grant)
    assert made.act == chain("a", "b", "c", "permits")
    assert isinstance(refused, NotRedeemed)
    assert refused.error.detail == "more than 4 clients would act"


def test_the_person_reads_who_asks_whom_on_whose_behalf_and_what_for(grant):
    asked = request()
    made = token_exchange._exchanged(asked, ALIVE)

    [entry] = grant.entries(asked, made)

    assert (entry.kind, entry.actor, entry.at) == ("idp.token_exchanged", CLIENT.actor, NOW)
    assert entry.subject == FAMILY.authorization.subject
    assert entry.purpose == CLIENT.purpose["zh-Hans"]
    assert entry.details == {
        "scope": "permits.read",
        "target": TAXES,
        "on_behalf_of": "portal",
        "family": FAMILY.id,
    }
    assert grant.entries(asked, NotRedeemed(InvalidRequest(NOT_LIVE))) == []
    assert grant.entries(asked, replace(made, authorization=None)) == []
