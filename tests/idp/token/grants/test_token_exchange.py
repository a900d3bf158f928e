"""A resource server asks another one on a person's behalf (RFC 8693)."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from foundation.actor import SYSTEM
from idp.protocol.errors import InvalidClientMetadata
from idp.token.grants.token_exchange import ACCESS_TOKEN, LONGEST_CHAIN, TokenExchange
from tests.idp.proofs import Prover
from tests.idp.world import ISSUER, RelyingParty, World

EXCHANGE = TokenExchange.grant_type
PERMITS = "https://permits.example.gov.cn"
TAXES = "https://taxes.example.gov.cn"
ARCHIVE = "https://archive.example.gov.cn"
API = f"{ISSUER}/api/v1"


@pytest.fixture
def portal(world: World) -> RelyingParty:
    """The program in front of the person; its tokens are for the permits service."""
    return world.client("portal", scopes=("openid", "profile", "offline_access", "permits.read"),
                        resources=(PERMITS,))  # fmt: skip


@pytest.fixture
def permits(world: World) -> RelyingParty:
    """A service that has to ask the taxes service."""
    return server(world, "permits", PERMITS, TAXES)


def server(world: World, name: str, resource: str, *targets: str) -> RelyingParty:
    made = world.client(
        name, grant_types=(EXCHANGE,), redirect_uris=(), scopes=(), claims=(),
        resource_server=resource, exchange_targets=targets, dpop_bound_access_tokens=True,
    )  # fmt: skip
    made.prover = Prover(world.clock)
    return made


def form(token: str, **changes: str | None) -> dict[str, str]:
    asked = {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "resource": TAXES,
        **changes,
    }
    return {name: value for name, value in asked.items() if value is not None}


def test_the_new_token_says_for_whom_by_whom_and_where(world: World, portal, permits):
    subject_token = portal.tokens(scope="openid profile offline_access permits.read")[
        "access_token"
    ]
    theirs = world.verify(subject_token)

    answer = permits.token(form(subject_token)).json()

    assert answer["issued_token_type"] == ACCESS_TOKEN
    assert answer["token_type"] == "DPoP"
    assert not {"refresh_token", "id_token"} & answer.keys()
    claims = world.verify(answer["access_token"])
    assert (claims["aud"], claims["scope"], claims["sub"]) == (TAXES, "permits.read", theirs["sub"])
    assert (claims["act"], claims["client_id"]) == ({"sub": "permits"}, "permits")
    assert claims["cnf"] == {"jkt": permits.prover.jkt}
    [entry] = world.entries("idp.token_exchanged")
    assert entry["actor"]["id"] == "permits"
    assert entry["details"]["on_behalf_of"] == "portal"
    assert entry["details"]["target"] == TAXES


def test_it_lives_no_longer_than_the_subject_token(world: World, portal, permits, clock):
    subject_token = portal.tokens(scope="openid permits.read")["access_token"]
    clock.advance(timedelta(minutes=7))
    permits.token(form("x"))  # the nonce of today

    answer = permits.token(form(subject_token)).json()

    assert world.verify(answer["access_token"])["exp"] == world.verify(subject_token)["exp"]
    assert 0 < answer["expires_in"] <= 180


def test_it_is_dead_with_the_family_of_the_subject_token(world: World, portal, permits):
    taxes = server(world, "taxes", TAXES, ARCHIVE)
    tokens = portal.tokens(scope="openid offline_access permits.read")
    exchanged = permits.token(form(tokens["access_token"])).json()["access_token"]
    told = taxes.introspect(exchanged)
    assert (told["active"], told["act"]) == (True, {"sub": "permits"})

    portal.revoke(tokens["refresh_token"])

    assert taxes.introspect(exchanged) == {"active": False}
    again = taxes.token(form(exchanged, resource=ARCHIVE))
    assert (again.status_code, again.json()["error"]) == (400, "invalid_request")
    assert permits.token(form(tokens["access_token"])).json()["error"] == "invalid_request"


def test_who_acted_before_stays_named(world: World, portal, permits):
    taxes = server(world, "taxes", TAXES, ARCHIVE)
    subject_token = portal.tokens(scope="openid permits.read")["access_token"]
    first = permits.token(form(subject_token)).json()["access_token"]

    second = taxes.token(form(first, resource=ARCHIVE)).json()["access_token"]

    assert world.verify(second)["act"] == {"sub": "taxes", "act": {"sub": "permits"}}


def test_a_chain_has_an_end(world: World, portal):
    places = [PERMITS, *(f"https://s{number}.example" for number in range(LONGEST_CHAIN + 1))]
    token = portal.tokens(scope="openid permits.read")["access_token"]
    answers = []
    for number, (here, there) in enumerate(pairwise(places)):
        acting = server(world, f"server-{number}", here, there)
        answers.append(acting.token(form(token, resource=there)))
        token = answers[-1].json().get("access_token", "")

    assert [each.status_code for each in answers] == [200] * LONGEST_CHAIN + [400]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"subject_token": "nonsense"}, "invalid_request"),
        ({"resource": ARCHIVE}, "invalid_target"),
        ({"resource": None, "audience": "taxes"}, "invalid_target"),
        ({"scope": "permits.read permits.write"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": '"'}, "invalid_scope"),
    ],
)
def test_what_the_policy_does_not_allow_is_refused(portal, permits, changes, error):
    """RFC 8693 §2.2.2: a subject token that is not good is an invalid_request."""
    subject_token = portal.tokens(scope="openid profile permits.read")["access_token"]

    answer = permits.token(form(subject_token, **changes))

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_without_a_resource_the_one_approved_target_is_meant(world: World, portal, permits):
    subject_token = portal.tokens(scope="openid permits.read")["access_token"]

    answer = permits.token(form(subject_token, resource=None)).json()

    assert world.verify(answer["access_token"])["aud"] == TAXES


def test_a_token_for_somebody_else_is_nothing_here(world: World, portal, permits):
    """Only an audience of the subject token may pass it on."""
    other = server(world, "stranger", ARCHIVE, TAXES)
    subject_token = portal.tokens(scope="openid permits.read")["access_token"]

    assert other.token(form(subject_token)).json()["error"] == "invalid_request"


def test_a_token_about_nobody_is_not_exchanged(world: World, permits):
    own = world.client("batch", scopes=("permits.read",), resources=(PERMITS,), redirect_uris=(),
                       grant_types=("client_credentials",), claims=())  # fmt: skip
    token = own.token({"grant_type": "client_credentials"}).json()["access_token"]

    assert permits.token(form(token)).json()["error"] == "invalid_request"


def test_an_id_token_or_a_refresh_token_is_no_subject(portal, permits):
    tokens = portal.tokens(scope="openid offline_access permits.read")

    for name in ("id_token", "refresh_token"):
        assert permits.token(form(tokens[name])).json()["error"] == "invalid_request"


def test_an_expired_subject_token_is_refused(portal, permits, clock):
    subject_token = portal.tokens(scope="openid permits.read")["access_token"]
    clock.advance(timedelta(minutes=11))

    assert permits.token(form(subject_token)).json()["error"] == "invalid_request"


@pytest.mark.parametrize("ended", ["person", "client", "session"])
def test_whoever_ended_takes_the_exchange_along(world: World, portal, permits, ended):
    browser = world.browser()
    answer = portal.exchange(portal.code(browser, scope="openid permits.read")).json()
    subject_token = answer["access_token"]
    exchanged = permits.token(form(subject_token)).json()["access_token"]
    taxes = server(world, "taxes", TAXES, ARCHIVE)
    assert taxes.introspect(exchanged)["active"]

    if ended == "client":
        world.idp.clients.disable("portal", by=SYSTEM)
    elif ended == "session":
        world.idp.end_session(browser.session_id)
    else:
        world.idp.withdraw_consent(world.chen, "portal")

    assert permits.token(form(subject_token)).json()["error"] == "invalid_request"
    assert taxes.introspect(exchanged) == {"active": False}
    again = taxes.token(form(exchanged, resource=ARCHIVE))
    assert again.json()["error"] == "invalid_request"


def test_our_own_api_is_never_a_target(world: World, portal):
    """A licence is read under a purpose of one's own, with a legal basis and an entry for it."""
    greedy = server(world, "greedy", PERMITS, API, f"{API}/verifications", ISSUER)
    subject_token = portal.tokens(scope="openid permits.read")["access_token"]

    for target in (API, f"{API}/verifications", ISSUER, None):
        answer = greedy.token(form(subject_token, resource=target))
        assert answer.json()["error"] == "invalid_target"


def test_a_bearer_token_is_not_given(world: World, portal):
    bare = world.client(
        "bare", grant_types=(EXCHANGE,), redirect_uris=(), scopes=(), claims=(),
        resource_server=PERMITS, exchange_targets=(TAXES,),
    )  # fmt: skip
    subject_token = portal.tokens(scope="openid permits.read")["access_token"]

    assert bare.token(form(subject_token)).json()["error"] == "invalid_request"
    bare.prover = Prover(world.clock)
    assert bare.token(form(subject_token)).json()["token_type"] == "DPoP"


def test_only_who_is_registered_for_it_may(world: World, portal):
    other = world.client("other", resource_server=PERMITS, resources=(TAXES,))
    subject_token = portal.tokens(scope="openid permits.read")["access_token"]

    assert other.token(form(subject_token)).json()["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    "changes",
    [
        {"resource_server": ""},
        {"exchange_targets": ()},
        {"profile": "public", "token_endpoint_auth_method": "none"},
    ],
)
def test_a_registration_that_could_never_exchange_is_refused(world: World, permits, changes):
    wrong = replace(permits.registered, client_id="wrong", **changes)

    with pytest.raises(InvalidClientMetadata) as refused:
        world.idp.clients.add(wrong, by=SYSTEM)

    assert "/grant_types" in {each.pointer for each in refused.value.errors}


def test_targets_are_an_operators_word_and_not_a_programs():
    from idp.clients.metadata import OPEN

    assert "exchange_targets" not in OPEN
