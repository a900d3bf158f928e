"""Tokens that work only in the hands they were made for: DPoP and client certificates."""

from datetime import timedelta

import pytest

from foundation.actor import SYSTEM
from foundation.batching.routes import HotRequest
from idp.clients.mtls import ClientCertificates
from idp.protocol.profiles import PROFILES
from server.services import assemble
from server.web.access import AccessTokens
from tests.idp.fixtures import app_of
from tests.idp.proofs import Prover, authority, certificate
from tests.idp.world import ISSUER, PASSWORD, REDIRECT_URI, RelyingParty, World
from tests.simulators.commits import counted_commits

CREDENTIALS = {"grant_type": "client_credentials"}
TOKEN_URL = f"{ISSUER}/oauth/token"


@pytest.fixture
def bound(world: World) -> RelyingParty:
    """A client of the strict profile: it signs its assertions and proves its key."""
    return world.client(
        "strict", profile="fapi2", token_endpoint_auth_method="private_key_jwt", redirect_uris=(),
        grant_types=("client_credentials",),
    )  # fmt: skip


@pytest.fixture
def app_on_a_phone(world: World) -> RelyingParty:
    return world.client(
        "app",
        profile="public",
        token_endpoint_auth_method="none",
        grant_types=("authorization_code", "refresh_token"),
    )


def test_a_token_of_the_strict_profile_is_bound_to_the_key_of_its_proof(world, bound):
    response = bound.token(CREDENTIALS)

    assert response.json()["token_type"] == "DPoP"
    claims = world.verify(response.json()["access_token"])
    assert claims["cnf"] == {"jkt": bound.prover.jkt}


def test_every_answer_to_a_proof_brings_the_next_nonce(world, bound, clock):
    bound.token(CREDENTIALS)
    clock.advance(timedelta(minutes=2))

    response = bound._post("/oauth/token", CREDENTIALS)

    assert response.status_code == 200
    assert response.headers["dpop-nonce"] != bound.prover.nonce


def test_a_client_that_must_prove_its_key_gets_nothing_without(world, bound):
    bound.prover = None

    response = bound.token(CREDENTIALS)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_dpop_proof")


def test_asking_for_a_nonce_uses_nothing_up(world: World, bound: RelyingParty):
    form, headers = bound.authenticated(CREDENTIALS)
    url, prover = TOKEN_URL, bound.prover

    first = world.http.post(
        "/oauth/token", form, headers={**headers, "dpop": prover.proof("POST", url)}
    )
    prover.nonce = first.headers["dpop-nonce"]
    second = world.http.post(
        "/oauth/token", form, headers={**headers, "dpop": prover.proof("POST", url)}
    )

    assert first.json()["error"] == "use_dpop_nonce"
    assert second.status_code == 200, "the same client assertion was still good"


def test_a_plain_client_may_bind_its_tokens_too(world: World, client: RelyingParty):
    client.prover = Prover(world.clock)

    tokens = client.tokens()

    assert tokens["token_type"] == "DPoP"
    assert client.userinfo(tokens["access_token"]).status_code == 200
    client.prover = None
    assert client.userinfo(tokens["access_token"]).status_code == 401


def test_a_phone_signs_in_refreshes_and_reads_with_its_key(world, app_on_a_phone):
    tokens = app_on_a_phone.tokens()
    fresh = app_on_a_phone.refresh(tokens["refresh_token"]).json()

    told = app_on_a_phone.userinfo(fresh["access_token"])

    assert told.json()["name"] == "陈静怡"
    assert told.headers["dpop-nonce"]


def test_a_bound_refresh_token_can_be_given_back_without_a_proof(world, app_on_a_phone):
    tokens = app_on_a_phone.tokens()
    app_on_a_phone.prover = None

    assert app_on_a_phone.revoke(tokens["refresh_token"]).status_code == 200


def test_our_own_api_takes_a_bound_token_with_its_proof(world: World, client: RelyingParty):
    prover = client.prover = Prover(world.clock)
    token = client.token(CREDENTIALS).json()["access_token"]
    path = "/api/v1/verifications"
    headers = {"authorization": f"DPoP {token}"}
    headers["dpop"] = prover.proof("POST", ISSUER + path, token)

    actor = world.runner.run(AccessTokens(world.idp).hot(HotRequest("POST", path, headers=headers)))

    assert actor.id == client.id


def test_a_confidential_client_may_change_its_key_between_refreshes(world, client):
    client.prover = Prover(world.clock)
    tokens = client.tokens()
    client.prover = Prover(world.clock)

    fresh = client.refresh(tokens["refresh_token"]).json()

    assert world.verify(fresh["access_token"])["cnf"] == {"jkt": client.prover.jkt}


def test_a_code_can_be_bound_to_a_key_from_the_start(world: World, client: RelyingParty):
    client.prover = Prover(world.clock)
    code = client.code(dpop_jkt=client.prover.jkt)

    assert client.exchange(code).status_code == 200


def test_a_malformed_thumbprint_is_refused_before_anybody_signs_in(world, client):
    answer = world.browser().authorize(client.request(dpop_jkt="short"))

    assert answer.params["error"] == "invalid_request"


@pytest.mark.parametrize(
    "url",
    [
        "https://ID.example.gov.cn/oauth/token",
        "https://id.example.gov.cn:443/oauth/token",
        "https://id.example.gov.cn/oauth/token?x=1#y",
        "https://id.example.gov.cn/oauth/%74oken",
    ],
)
def test_another_spelling_of_the_same_address_is_the_same_address(world, bound, url):
    bound.token(CREDENTIALS)
    form, headers = bound.authenticated(CREDENTIALS)
    headers["dpop"] = bound.prover.proof("POST", url)

    assert world.http.post("/oauth/token", form, headers=headers).status_code == 200


# --- certificates -------------------------------------------------------------------------------

CA = authority()
MTLS = "https://mtls.id.example"


@pytest.fixture
def behind_a_proxy(runner, database, keys, ledger, clock):
    """The provider behind a proxy that ends TLS at 127.0.0.1 and vouches for certificates."""
    proxy = ClientCertificates(["127.0.0.1/32"], [CA.certificate], MTLS)
    idp = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=ISSUER,
        ledger=ledger,
        client_certificates=proxy,
    ).idp
    chen = idp.people.add("chen", "陈静怡", PASSWORD, by=SYSTEM)
    yield World(app_of(idp), runner, idp, database, clock, chen)
    idp.close()


def with_certificate(world: World, shown, **registration) -> RelyingParty:
    party = world.client(
        "bureau", profile="fapi2", redirect_uris=(), grant_types=("client_credentials",),
        tls_client_certificate_bound_access_tokens=True, **registration,
    )  # fmt: skip
    party.certificate = shown
    return party


def test_a_certificate_of_our_authority_with_the_registered_name_is_the_client(behind_a_proxy):
    shown = certificate("bureau.example.gov.cn", CA)
    party = with_certificate(
        behind_a_proxy, shown, token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_subject_dn="CN=bureau.example.gov.cn",
    )  # fmt: skip

    response = party.token(CREDENTIALS)

    assert response.status_code == 200, response.text
    assert response.json()["token_type"] == "Bearer"
    claims = behind_a_proxy.verify(response.json()["access_token"])
    assert claims["cnf"] == {"x5t#S256": shown.x5t}


def test_a_name_among_the_alternative_names_will_do_when_registered_so(behind_a_proxy):
    shown = certificate("whatever", CA, dns="bureau.example.gov.cn")
    party = with_certificate(
        behind_a_proxy, shown, token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_san_dns="bureau.example.gov.cn",
    )  # fmt: skip

    assert party.token(CREDENTIALS).status_code == 200


def test_a_registered_self_signed_certificate_is_the_client(behind_a_proxy: World):
    shown = certificate("bureau")
    party = with_certificate(
        behind_a_proxy, shown, token_endpoint_auth_method="self_signed_tls_client_auth",
        jwks={"keys": [shown.jwk]},
    )  # fmt: skip

    assert party.token(CREDENTIALS).status_code == 200
    party.certificate = certificate("bureau")
    assert party.token(CREDENTIALS).json()["error"] == "invalid_client"


def test_nginx_may_pass_the_certificate_on_in_its_own_spelling(behind_a_proxy: World):
    from urllib.parse import quote

    from cryptography.hazmat.primitives.serialization import Encoding

    shown = certificate("bureau", CA)
    pem = shown.certificate.public_bytes(Encoding.PEM).decode()
    seen = behind_a_proxy.idp.senders.certificates.of(
        HotRequest("GET", "/", headers={"client-cert": quote(pem)}, client_ip="127.0.0.1")
    )

    assert seen is not None
    assert seen.thumbprint == shown.x5t


def test_a_second_address_asks_for_certificates_and_is_told(behind_a_proxy: World):
    told = behind_a_proxy.http.get("/.well-known/openid-configuration").json()

    aliases = told["mtls_endpoint_aliases"]
    assert aliases.keys() <= told.keys()
    for name, address in aliases.items():
        assert address.removeprefix(MTLS) == told[name].removeprefix(ISSUER)
    assert {"authorization_endpoint", "end_session_endpoint", "jwks_uri"}.isdisjoint(aliases)


def test_a_proof_may_name_the_second_address_and_no_third(behind_a_proxy: World):
    shown = certificate("bureau.example.gov.cn", CA)
    party = behind_a_proxy.client(
        "both", profile="fapi2", redirect_uris=(), grant_types=("client_credentials",),
        token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_subject_dn="CN=bureau.example.gov.cn",
    )  # fmt: skip
    party.certificate = shown
    prover = Prover(behind_a_proxy.clock)

    def asked(base: str):
        proof = prover.proof("POST", f"{base}/oauth/token")
        headers = {"dpop": proof, "client-cert": shown.header}
        form = {**CREDENTIALS, "client_id": party.id}
        return behind_a_proxy.http.post("/oauth/token", form, headers=headers)

    prover.nonce = asked(MTLS).headers["dpop-nonce"]

    assert asked(MTLS).status_code == 200
    assert asked(ISSUER).status_code == 200
    refused = asked("https://elsewhere.example")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_dpop_proof")


def test_a_token_bound_to_a_certificate_needs_that_certificate(behind_a_proxy: World):
    party = behind_a_proxy.client(tls_client_certificate_bound_access_tokens=True)
    party.certificate = certificate("any")
    token = party.tokens()["access_token"]

    assert party.userinfo(token).status_code == 200
    party.certificate = certificate("another")
    assert party.userinfo(token).status_code == 401
    party.certificate = None
    assert party.userinfo(token).status_code == 401
    assert party.token(CREDENTIALS).json()["error"] == "invalid_request"


# --- profiles -----------------------------------------------------------------------------------


def test_the_strict_profile_is_what_a_client_gets_when_nobody_chooses():
    from idp.models import Client

    fields = Client.__dataclass_fields__

    assert fields["profile"].default == "fapi2"
    assert fields["token_endpoint_auth_method"].default in PROFILES["fapi2"].auth_methods


def test_the_ordinary_lane_sees_the_certificate_as_the_fast_one_does(behind_a_proxy: World):
    from fastapi import Depends, FastAPI

    from foundation.actor import Actor
    from server.web.access import AccessTokens
    from tests.idp.world import Http

    party = behind_a_proxy.client(tls_client_certificate_bound_access_tokens=True)
    party.certificate = certificate("any")
    token = party.token(CREDENTIALS).json()["access_token"]
    require = AccessTokens(behind_a_proxy.idp)
    app = FastAPI()

    @app.get("/api/v1/whoami")
    def whoami(actor: Actor = Depends(require("verifications"))) -> str:  # noqa: B008
        return actor.id

    headers = {"authorization": f"Bearer {token}", "client-cert": party.certificate.header}
    http = Http(app, behind_a_proxy.runner)

    assert http.get("/api/v1/whoami", headers=headers).json() == party.id


def test_who_brings_no_token_hears_which_kinds_there_are(world: World):
    response = world.http.get("/oauth/userinfo")

    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert challenge == 'Bearer, DPoP algs="ES256 PS256 EdDSA"'


def test_every_grant_uses_up_its_proof_in_the_commit_of_its_tokens(world, app_on_a_phone, client):
    client.prover = Prover(world.clock)
    client.token(CREDENTIALS)  # brings a nonce
    codes = [(app_on_a_phone, app_on_a_phone.code()), (client, client.code())]
    app_on_a_phone.exchange("asks for a nonce")
    app_on_a_phone.exchange("never was a code")

    with counted_commits(world.database) as commits:
        exchanged = [party.exchange(code) for party, code in codes]
        assert len(commits) == 2
        app_on_a_phone.refresh(exchanged[0].json()["refresh_token"])
        assert len(commits) == 3
        client.token(CREDENTIALS)
        assert len(commits) == 4

    assert [each.status_code for each in exchanged] == [200, 200]


def with_proof(world: World, party: RelyingParty, proof: str, form: dict[str, str]):
    form, headers = party.authenticated(form)
    return world.http.post("/oauth/token", form, headers={**headers, "dpop": proof})


def refusals(world: World) -> list[str]:
    return [each["verdict"] for each in world.entries("idp.token_refused")]


def test_a_proof_that_was_used_before_leaves_the_code_as_it_is(world, app_on_a_phone):
    code = app_on_a_phone.code()
    app_on_a_phone.exchange("brings a nonce")
    proof = app_on_a_phone.prover.proof("POST", TOKEN_URL)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    form["code_verifier"] = app_on_a_phone.verifier
    with_proof(world, app_on_a_phone, proof, {**form, "code": "another"})

    replayed = with_proof(world, app_on_a_phone, proof, form)

    assert replayed.json()["error"] == "invalid_dpop_proof"
    assert refusals(world).count("invalid_dpop_proof") == 1
    assert app_on_a_phone.exchange(code).status_code == 200


def test_a_malformed_request_uses_up_its_proof_too(world, app_on_a_phone):
    app_on_a_phone.exchange("brings a nonce")
    proof = app_on_a_phone.prover.proof("POST", TOKEN_URL)
    form = {"grant_type": "authorization_code"}
    before = refusals(world)

    answers = [with_proof(world, app_on_a_phone, proof, form).json()["error"] for _ in range(2)]

    assert answers == ["invalid_request", "invalid_dpop_proof"]
    assert sorted(refusals(world)) == sorted(before + answers)
