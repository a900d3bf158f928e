"""Each rule of the sender constraint by itself: no endpoint, a database for what was used up."""

import asyncio

import pytest

from foundation.batching.routes import HotRequest
from idp.clients.mtls import ClientCertificates
from idp.protocol.errors import (
    DpopChallenge,
    InvalidDpopProof,
    InvalidRequest,
    InvalidToken,
    UseDpopNonce,
)
from idp.protocol.policy import Policy
from idp.store.replays import ReplayCache
from idp.token.sender_constraint import SenderConstraints
from tests.idp.proofs import Prover, certificate
from tests.idp.values import a_client
from tests.idp.world import ISSUER

MTLS = "https://mtls.id.example"
PATH = "/oauth/token"
ALGORITHMS = "ES256 PS256 EdDSA"
SHOWN, ANOTHER = certificate("bureau"), certificate("another")
PLAIN = {"profile": "standard"}
APP = {"profile": "public", "token_endpoint_auth_method": "none"}
BY_CERTIFICATE = {
    "profile": "fapi2",
    "token_endpoint_auth_method": "private_key_jwt",
    "tls_client_certificate_bound_access_tokens": True,
}


@pytest.fixture
def replays(sqlite_database):
    replays = ReplayCache(sqlite_database)
    yield replays
    replays.close()


@pytest.fixture
def senders(sqlite_database, replays, clock):
    proxy = ClientCertificates(["127.0.0.1/32"], address=MTLS)
    return SenderConstraints(sqlite_database, replays, proxy, clock, ISSUER)


@pytest.fixture
def prover(senders, clock):
    """Who holds a key, and a nonce of ours."""
    [(_, nonce)] = senders.headers(request(dpop=""))
    return Prover(clock, nonce=nonce)


def request(method="POST", client_ip="127.0.0.1", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HotRequest(method, PATH, headers=named, client_ip=client_ip)


def checked(senders, request, scheme, token, confirmation):
    return asyncio.run(senders.check(request, scheme, token, confirmation))


def refused(expected, senders, *about):
    with pytest.raises(expected) as caught:
        checked(senders, *about)
    return caught.value


# ── what a request shows ─────────────────────────────────────────────────────────────────────


def test_who_brings_no_proof_shows_none_and_gets_no_nonce(senders):
    assert senders.proof(request()) is None
    assert senders.headers(request()) == ()


def test_who_brings_a_proof_shows_a_key_and_gets_the_next_nonce(senders, prover):
    for base in (ISSUER, MTLS):
        shown = senders.proof(request(dpop=prover.proof("POST", base + PATH)))
        assert shown.jkt == prover.jkt

    assert senders.headers(request(dpop="x")) == (("DPoP-Nonce", prover.nonce),)


def test_a_proof_fits_the_method_the_address_and_the_token(senders, prover):
    good = prover.proof("POST", ISSUER + PATH, "token")

    assert senders.proof(request(dpop=good), "token").jkt == prover.jkt
    for wrong in (
        request(dpop=prover.proof("GET", ISSUER + PATH, "token")),
        request(dpop=prover.proof("POST", ISSUER + "/oauth/par", "token")),
        request(dpop=prover.proof("POST", "https://elsewhere.example" + PATH, "token")),
        request(dpop=prover.proof("POST", ISSUER + PATH, "another")),
        request(dpop=prover.proof("POST", ISSUER + PATH)),
        request(dpop="x"),
        request(dpop=""),
    ):
        with pytest.raises(InvalidDpopProof):
            senders.proof(wrong, "token")


def test_a_proof_without_a_nonce_is_answered_with_one(senders, clock, prover):
    told, prover.nonce = prover.nonce, None

    with pytest.raises(UseDpopNonce) as caught:
        senders.proof(request(dpop=prover.proof("POST", ISSUER + PATH)))

    assert caught.value.dpop_nonce == told
    assert (
        caught.value.detail == "the DPoP proof needs the nonce of this answer's DPoP-Nonce header"
    )


def test_an_installation_without_a_second_address_takes_proofs_for_one(
    sqlite_database, replays, clock, prover
):
    alone = SenderConstraints(sqlite_database, replays, ClientCertificates(), clock, ISSUER)

    assert alone.proof(request(dpop=prover.proof("POST", ISSUER + PATH))).jkt == prover.jkt
    with pytest.raises(InvalidDpopProof):
        alone.proof(request(dpop=prover.proof("POST", PATH)))


# ── what a new token is bound to ─────────────────────────────────────────────────────────────


def test_a_token_is_bound_to_whatever_is_shown_and_wanted(senders, prover):
    by_key = senders.proof(request(dpop=prover.proof("POST", ISSUER + PATH)))
    with_certificate = request(client_cert=SHOWN.header)
    key, thumbprint = {"jkt": prover.jkt}, {"x5t#S256": SHOWN.x5t}

    assert senders.bind(request(), None, a_client(**PLAIN)) == {}
    assert senders.bind(with_certificate, None, a_client(**PLAIN)) == {}
    assert senders.bind(request(), by_key, a_client(**PLAIN)) == key
    assert senders.bind(request(), by_key, a_client(**APP)) == key
    assert senders.bind(with_certificate, None, a_client(**BY_CERTIFICATE)) == thumbprint
    assert senders.bind(with_certificate, by_key, a_client(**BY_CERTIFICATE)) == key | thumbprint


def test_what_is_wanted_and_not_shown_is_refused(senders):
    with pytest.raises(InvalidDpopProof, match="must send a DPoP proof"):
        senders.bind(request(), None, a_client(**APP))
    with pytest.raises(InvalidDpopProof, match="must send a DPoP proof"):
        senders.bind(request(), None, a_client(**PLAIN, dpop_bound_access_tokens=True))
    for shown in (request(), request(client_cert=SHOWN.header, client_ip="192.0.2.1")):
        with pytest.raises(InvalidRequest, match="must present its certificate"):
            senders.bind(shown, None, a_client(**BY_CERTIFICATE))


def test_an_app_that_relies_on_rotation_shows_no_key_where_the_operator_lets_it(
    sqlite_database, senders, replays, clock
):
    app = a_client(**APP, relies_on_rotation=True)
    lets = Policy(public_clients_without_dpop=True)
    loose = SenderConstraints(sqlite_database, replays, ClientCertificates(), clock, ISSUER, lets)

    assert loose.bind(request(), None, app) == {}
    with pytest.raises(InvalidDpopProof, match="must send a DPoP proof"):
        loose.bind(request(), None, a_client(**APP))
    with pytest.raises(InvalidDpopProof, match="must send a DPoP proof"):
        senders.bind(request(), None, app)


def test_a_client_of_the_strict_profile_sends_no_proof_from_the_future(senders, prover, clock):
    strict = a_client(profile="fapi2", token_endpoint_auth_method="private_key_jwt")
    start = int(clock().timestamp())

    def shown(ahead):
        proof = prover.proof("POST", ISSUER + PATH, iat=start + ahead)
        return senders.proof(request(dpop=proof))

    assert senders.bind(request(), shown(60), strict) == {"jkt": prover.jkt}
    senders.refuse_early(shown(60), strict)
    senders.refuse_early(None, strict)
    with pytest.raises(InvalidDpopProof, match="more than 60 seconds ahead"):
        senders.bind(request(), shown(61), strict)
    with pytest.raises(DpopChallenge, match="more than 60 seconds ahead") as caught:
        senders.refuse_early(shown(61), strict)
    assert f'algs="{ALGORITHMS}"' in caught.value.challenge


# ── a token comes back ───────────────────────────────────────────────────────────────────────


def test_a_token_that_is_bound_to_nothing_comes_as_bearer(senders, prover):
    assert checked(senders, request(), "bearer", "token", {}) is None
    proof = prover.proof("POST", ISSUER + PATH, "token")
    checked(senders, request(dpop=proof), "bearer", "token", {})

    problem = refused(InvalidToken, senders, request(dpop=proof), "dpop", "token", {})
    assert problem.challenge == (
        'Bearer error="invalid_token", error_description='
        '"the access token is not bound to a key: send it as Bearer"'
    )


def test_a_token_that_is_bound_to_a_key_comes_with_a_proof_by_it_once(senders, prover):
    confirmation = {"jkt": prover.jkt}
    proof = request(dpop=prover.proof("POST", ISSUER + PATH, "token"))

    taken = checked(senders, proof, "dpop", "token", confirmation)
    problem = refused(DpopChallenge, senders, proof, "dpop", "token", confirmation)

    assert taken.jkt == prover.jkt

    assert problem.error == "invalid_dpop_proof"
    assert problem.challenge == (
        'DPoP error="invalid_dpop_proof", error_description='
        f'"the DPoP proof was used before", algs="{ALGORITHMS}"'
    )


def test_a_bound_token_does_not_come_as_bearer(senders, prover):
    proof = request(dpop=prover.proof("POST", ISSUER + PATH, "token"))

    problem = refused(InvalidToken, senders, proof, "bearer", "token", {"jkt": prover.jkt})

    assert problem.challenge == (
        'DPoP error="invalid_token", error_description='
        '"the access token is bound to a key: send it as DPoP, with a proof"'
    )


def test_a_bound_token_does_not_come_without_a_proof_for_it(senders, prover):
    confirmation = {"jkt": prover.jkt}
    without = refused(DpopChallenge, senders, request(), "dpop", "token", confirmation)
    another = request(dpop=prover.proof("POST", ISSUER + PATH, "another"))

    assert without.detail == "the access token comes without a DPoP proof"
    assert without.headers() == (("WWW-Authenticate", without.challenge),)
    assert "ath" in refused(DpopChallenge, senders, another, "dpop", "token", confirmation).detail
    told, prover.nonce = prover.nonce, "old"
    stale = request(dpop=prover.proof("POST", ISSUER + PATH, "token"))
    problem = refused(DpopChallenge, senders, stale, "dpop", "token", confirmation)
    assert problem.error == "use_dpop_nonce"
    assert problem.headers()[1:] == (("DPoP-Nonce", told),)


def test_a_bound_token_does_not_come_with_a_proof_by_another_key(senders, prover, clock):
    thief = Prover(clock, nonce=prover.nonce)
    proof = request(dpop=thief.proof("POST", ISSUER + PATH, "token"))

    problem = refused(InvalidToken, senders, proof, "dpop", "token", {"jkt": prover.jkt})

    assert problem.challenge == (
        'DPoP error="invalid_token", error_description='
        f'"the DPoP proof is by another key than the access token\'s", algs="{ALGORITHMS}"'
    )


def test_a_token_that_is_bound_to_a_certificate_comes_over_its_connection(senders):
    confirmation = {"x5t#S256": SHOWN.x5t}

    checked(senders, request(client_cert=SHOWN.header), "bearer", "token", confirmation)
    for other in (request(), request(client_cert=ANOTHER.header)):
        problem = refused(InvalidToken, senders, other, "bearer", "token", confirmation)
        assert problem.detail == "the access token is bound to another certificate"


def test_a_token_that_is_bound_twice_needs_both(senders, prover):
    confirmation = {"jkt": prover.jkt, "x5t#S256": SHOWN.x5t}

    def both(shown):
        proof = prover.proof("POST", ISSUER + PATH, "token")
        return request(dpop=proof, client_cert=shown.header)

    checked(senders, both(SHOWN), "dpop", "token", confirmation)
    refused(InvalidToken, senders, both(ANOTHER), "dpop", "token", confirmation)
    refused(DpopChallenge, senders, request(client_cert=SHOWN.header), "dpop", "t", confirmation)


def test_a_kind_of_binding_that_nobody_here_knows_is_refused_and_never_skipped(senders, prover):
    proof = request(dpop=prover.proof("POST", ISSUER + PATH, "token"), client_cert=SHOWN.header)
    known = {"jkt": prover.jkt, "x5t#S256": SHOWN.x5t}

    for confirmation in ({"kid": "x"}, {"kid": "x"} | known):
        for scheme in ("bearer", "dpop"):
            problem = refused(InvalidToken, senders, proof, scheme, "token", confirmation)
            assert problem.detail == "the access token is bound in a way that is not known here"


# ── used up ──────────────────────────────────────────────────────────────────────────────────


def test_a_proof_is_used_up_by_itself_or_with_what_it_allows(senders, prover):
    shown = senders.proof(request(dpop=prover.proof("POST", ISSUER + PATH)))
    condition = senders.spending(shown)

    assert senders.spending(None) is None
    assert condition.refusal(True) is None
    assert isinstance(condition.refusal(False), InvalidDpopProof)
    assert condition.refusal(False).detail == "the DPoP proof was used before"
    asyncio.run(senders.spend(shown))
    with pytest.raises(InvalidDpopProof, match="the DPoP proof was used before"):
        asyncio.run(senders.spend(shown))


def test_either_way_it_is_remembered_under_one_name_by_processes_of_every_version(
    senders, replays, prover
):
    shown = senders.proof(request(dpop=prover.proof("POST", ISSUER + PATH)))
    name = ("dpop", shown.jkt, shown.jti, shown.until)

    assert senders.spending(shown).item == replays.once(*name, Exception()).item
    assert asyncio.run(replays.first(*name))
    with pytest.raises(InvalidDpopProof):
        asyncio.run(senders.spend(shown))
