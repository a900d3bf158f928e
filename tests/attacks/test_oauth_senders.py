"""Attacks 14 and 22 to 24: stolen tokens, replayed and twisted proofs, forged certificates."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.batching.routes import HotRequest
from foundation.errors import Malformed
from idp.clients.mtls import ClientCertificates
from idp.protocol.errors import TokenRefused
from server.web.access import AccessTokens
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.proofs import Certificate, Prover, authority, certificate
from tests.idp.token.test_sender_constraint import CREDENTIALS, behind_a_proxy, with_certificate  # noqa: F401
from tests.idp.world import ISSUER, RelyingParty, World, public_jwk

API = "/api/v1/verifications"


@pytest.fixture
def bound(world: World, client: RelyingParty) -> RelyingParty:
    """A client with a bound access token, a live nonce, and a person behind it."""
    client.prover = Prover(world.clock)
    client.tokens()
    return client


def resource_answers(world: World, path: str, token: str, scheme: str, proof: str | None):
    """Status and challenge of a protected resource: userinfo over HTTP, our API at its own door."""
    headers = {"authorization": f"{scheme} {token}", **({"dpop": proof} if proof else {})}
    if path == "/oauth/userinfo":
        response = world.http.get(path, headers=headers)
        return response.status_code, response.headers.get("www-authenticate", "")
    try:
        world.runner.run(AccessTokens(world.idp).hot(HotRequest("GET", path, headers=headers)))
    except TokenRefused as refused:
        return refused.status, refused.challenge
    return 200, ""


@pytest.fixture(params=["/oauth/userinfo", API])
def path(request) -> str:
    return request.param


def token_for(party: RelyingParty, path: str) -> str:
    return party.tokens(scope="openid verifications" if path == API else "openid")["access_token"]


def test_the_owner_of_the_key_is_served_so_that_the_refusals_below_mean_something(
    world, bound, path
):
    token = token_for(bound, "/oauth/userinfo")
    proof = bound.prover.proof("GET", ISSUER + "/oauth/userinfo", token)

    assert resource_answers(world, "/oauth/userinfo", token, "DPoP", proof)[0] == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "DPoP", "dpop"])
def test_14_a_stolen_token_is_of_no_use_without_its_key(world, bound, path, scheme):
    token = token_for(bound, path)

    status, challenge = resource_answers(world, path, token, scheme, None)

    assert status == 401
    assert challenge.startswith("DPoP ")


def test_14_a_stolen_token_with_a_good_proof_of_another_key_is_refused(world, bound, path):
    token = token_for(bound, path)
    thief = Prover(world.clock, nonce=bound.prover.nonce)

    status, challenge = resource_answers(
        world, path, token, "DPoP", thief.proof("GET", ISSUER + path, token)
    )

    assert status == 401
    assert 'error="invalid_token"' in challenge


def test_14_a_bound_token_cannot_be_downgraded_to_a_bearer_token(world, bound, path):
    token = token_for(bound, path)
    proof = bound.prover.proof("GET", ISSUER + path, token)

    assert resource_answers(world, path, token, "Bearer", proof)[0] == 401


def test_14_a_bearer_token_cannot_pose_as_a_bound_one(world: World, client, path):
    token = token_for(client, path)
    prover = Prover(world.clock, nonce=world.idp.senders._nonces.current(world.clock()))

    status, _ = resource_answers(
        world, path, token, "DPoP", prover.proof("GET", ISSUER + path, token)
    )

    assert status == 401


def test_14_a_binding_nobody_here_understands_is_refused(world: World, client, path):
    granted = world.idp.tokens
    token = token_for(client, path)
    claims = {**world.verify(token), "cnf": {"kid": "a hardware key of tomorrow"}}
    strange = world.idp.keys.jws("idp.tokens", claims, typ="at+jwt")

    assert granted.verify_access_token(strange, audience=None, now=world.clock()).binding
    assert resource_answers(world, path, strange, "Bearer", None)[0] == 401


def test_14_a_code_bound_to_a_key_is_of_no_use_to_a_thief_and_is_burnt(world, client):
    client.prover = Prover(world.clock)
    code = client.code(dpop_jkt=client.prover.jkt)
    owner, client.prover = client.prover, Prover(world.clock)

    stolen = client.exchange(code)
    client.prover = owner

    assert stolen.json()["error"] == "invalid_grant"
    assert client.exchange(code).json()["error"] == "invalid_grant"


def test_14_a_stolen_refresh_token_of_an_app_needs_the_apps_key(world: World):
    app_on_a_phone = world.client(
        "app", profile="public", token_endpoint_auth_method="none",
        grant_types=("authorization_code", "refresh_token"),
    )  # fmt: skip
    token = app_on_a_phone.tokens()["refresh_token"]
    owner, app_on_a_phone.prover = app_on_a_phone.prover, Prover(world.clock)

    stolen = app_on_a_phone.refresh(token)
    app_on_a_phone.prover = None
    naked = app_on_a_phone.refresh(token)
    app_on_a_phone.prover = owner

    assert stolen.json()["error"] == "invalid_grant"
    assert naked.json()["error"] == "invalid_dpop_proof"
    assert app_on_a_phone.refresh(token).status_code == 200


def test_14_a_stolen_refresh_token_of_a_device_needs_the_devices_key(world: World):
    device_code = "urn:ietf:params:oauth:grant-type:device_code"
    kiosk = world.client(
        "kiosk", profile="public", token_endpoint_auth_method="none", redirect_uris=(),
        grant_types=(device_code, "refresh_token"),
    )  # fmt: skip
    form = {"scope": "openid offline_access", "client_id": kiosk.id}
    asked = kiosk.http.post("/oauth/device", form).json()
    session = world.sign_in("chen").session_id
    world.idp.devices.answer(session, asked["user_code"], True)
    poll = {"grant_type": device_code, "device_code": asked["device_code"]}
    token = kiosk.token(poll).json()["refresh_token"]
    owner, kiosk.prover = kiosk.prover, Prover(world.clock)

    stolen = kiosk.refresh(token)
    kiosk.prover = owner

    assert stolen.json()["error"] == "invalid_grant"
    assert kiosk.refresh(token).status_code == 200


def test_14_a_stolen_token_is_of_no_use_without_its_certificate(behind_a_proxy: World, path):
    owner = behind_a_proxy.client(tls_client_certificate_bound_access_tokens=True)
    owner.certificate = certificate("owner")
    token = token_for(owner, path)
    door = AccessTokens(behind_a_proxy.idp)

    def shown(header: dict[str, str]) -> int:
        headers = {"authorization": f"Bearer {token}", **header}
        if path == "/oauth/userinfo":
            return behind_a_proxy.http.get(path, headers=headers).status_code
        request = HotRequest("GET", path, headers=headers, client_ip="127.0.0.1")
        try:
            behind_a_proxy.runner.run(door.hot(request))
        except TokenRefused as refused:
            return refused.status
        return 200

    assert shown({"client-cert": owner.certificate.header}) == 200
    assert shown({"client-cert": certificate("owner").header}) == 401
    assert shown({}) == 401
    owner.certificate = None
    assert owner.token(CREDENTIALS).json()["error"] == "invalid_request", "no unbound token either"


WRONG = {
    "another method": {"htm": "PUT"},
    "no method": {"htm": None},
    "another address": {"htu": "https://id.example.gov.cn/oauth/authorize"},
    "another host": {"htu": "https://id.example.gov.cn.evil.example/oauth/token"},
    "a user in the address": {"htu": "https://id.example.gov.cn@evil.example/oauth/token"},
    "another port": {"htu": "https://id.example.gov.cn:8443/oauth/token"},
    "no address": {"htu": None},
    "a list of addresses": {"htu": [f"{ISSUER}/oauth/token"]},
    "not a time": {"iat": "now"},
    "no time": {"iat": None},
    "the year 9999": {"iat": 253402300799},
    "infinity": {"iat": 1e400},
    "a truth value": {"iat": True},
    "no id": {"jti": None},
    "an endless id": {"jti": "x" * 300},
    "an id that is no text": {"jti": 7},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
def test_23_a_proof_that_is_not_for_this_request_is_refused(world, bound, changes):
    form, headers = bound.authenticated(CREDENTIALS)
    headers["dpop"] = bound.prover.proof("POST", f"{ISSUER}/oauth/token", **changes)

    response = world.http.post("/oauth/token", form, headers=headers)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_dpop_proof")


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
def test_23_nor_is_it_at_a_resource(world, bound, path, changes):
    token = token_for(bound, path)
    proof = bound.prover.proof("GET", ISSUER + path, token, **changes)

    status, challenge = resource_answers(world, path, token, "DPoP", proof)

    assert status == 401
    assert 'error="invalid_dpop_proof"' in challenge


@pytest.mark.parametrize("hours", [-24 * 365, -7, 7, 24 * 365])
def test_22_a_phone_whose_clock_is_hours_wrong_is_served_on_the_word_of_the_nonce(
    world: World, bound, path, hours
):
    """RFC 9449 §4.3 no. 11: the time of a proof is "determined by either the iat claim or a server
    managed timestamp via the nonce claim"; our nonce tells it better than a phone does."""
    iat = int(world.clock().timestamp()) + hours * 3600
    form, headers = bound.authenticated(CREDENTIALS)
    headers["dpop"] = bound.prover.proof("POST", f"{ISSUER}/oauth/token", iat=iat)
    answer = world.http.post("/oauth/token", form, headers=headers)
    token = token_for(bound, path)
    proof = bound.prover.proof("GET", ISSUER + path, token, iat=iat)

    assert answer.status_code == 200
    assert resource_answers(world, path, token, "DPoP", proof)[0] == 200


@pytest.mark.parametrize("seconds", [-3600, 0, 3600])
def test_22_whatever_its_clock_says_a_phone_without_a_fresh_nonce_is_told_one(
    world: World, bound, clock, seconds
):
    clock.advance(timedelta(minutes=5))
    iat = int(world.clock().timestamp()) + seconds
    for stale in (None, bound.prover.nonce):
        form, headers = bound.authenticated(CREDENTIALS)
        address = f"{ISSUER}/oauth/token"
        headers["dpop"] = bound.prover.proof("POST", address, iat=iat, nonce=stale)

        answer = world.http.post("/oauth/token", form, headers=headers)

        assert answer.json()["error"] == "use_dpop_nonce"
        assert answer.headers["dpop-nonce"]


@pytest.mark.parametrize(("seconds", "taken"), [(-3600, True), (10, True), (61, False)])
def test_22_a_strict_client_says_no_proof_more_than_a_minute_ahead(
    world: World, path, seconds, taken
):
    """FAPI 2.0 §5.3.2.1, at every endpoint that takes a proof."""
    strict = world.client(
        "strict", profile="fapi2", token_endpoint_auth_method="private_key_jwt",
        grant_types=("authorization_code", "refresh_token", "client_credentials"),
    )  # fmt: skip
    token = token_for(strict, path)
    iat = int(world.clock().timestamp()) + seconds
    statuses = []
    for address, request in (("/oauth/token", CREDENTIALS), ("/oauth/par", strict.request())):
        form, headers = strict.authenticated(request)
        headers["dpop"] = strict.prover.proof("POST", ISSUER + address, iat=iat)
        statuses.append(world.http.post(address, form, headers=headers).status_code)
    proof = strict.prover.proof("GET", ISSUER + path, token, iat=iat)
    statuses.append(resource_answers(world, path, token, "DPoP", proof)[0])

    assert statuses == ([200, 201, 200] if taken else [400, 400, 401])


@pytest.mark.parametrize("seconds", [-7200, 9, 7200])
def test_22_a_replay_in_the_last_second_of_the_nonce_is_still_a_replay(
    world: World, bound, clock, seconds
):
    """Keycloak #43505: the id was forgotten before the proof could no longer be accepted. It is
    remembered by the nonce, not by a clock that may be hours behind."""
    form, headers = bound.authenticated(CREDENTIALS)
    iat = int(world.clock().timestamp()) + seconds
    headers["dpop"] = bound.prover.proof("POST", f"{ISSUER}/oauth/token", iat=iat)
    assert world.http.post("/oauth/token", form, headers=headers).status_code == 200

    end = world.idp.senders._nonces.last_moment(bound.prover.nonce, clock())
    clock.advance(end - clock() - timedelta(seconds=1))
    world.idp.sweep()
    again = world.http.post("/oauth/token", form, headers=headers)

    assert again.json()["error"] == "invalid_dpop_proof"
    assert "before" in again.json()["error_description"]


def test_23_a_proof_works_once(world: World, bound, path):
    token = token_for(bound, path)
    proof = bound.prover.proof("GET", ISSUER + path, token)

    answers = [resource_answers(world, path, token, "DPoP", proof) for _ in range(2)]

    assert answers[1][0] == 401
    assert "used before" in answers[1][1]


def test_23_of_many_at_once_a_proof_works_for_one(world: World, bound):
    form, headers = bound.authenticated(CREDENTIALS)
    headers["dpop"] = bound.prover.proof("POST", f"{ISSUER}/oauth/token")

    answers = world.http.together(
        *(world.http.client.post("/oauth/token", data=form, headers=headers) for _ in range(8))
    )

    assert sorted(each.status_code for each in answers) == [200] + [400] * 7


@pytest.mark.parametrize("nonce", [None, "", "made-up", 5, "x" * 32])
def test_23_a_proof_without_a_nonce_of_ours_is_sent_back_for_one(world, bound, path, nonce):
    token = token_for(bound, path)
    proof = bound.prover.proof("GET", ISSUER + path, token, nonce=nonce)

    status, challenge = resource_answers(world, path, token, "DPoP", proof)

    assert status == 401
    assert 'error="use_dpop_nonce"' in challenge


def test_23_an_old_nonce_is_as_good_as_none(world: World, bound, clock):
    clock.advance(timedelta(minutes=5))
    form, headers = bound.authenticated(CREDENTIALS)
    headers["dpop"] = bound.prover.proof("POST", f"{ISSUER}/oauth/token")

    response = world.http.post("/oauth/token", form, headers=headers)

    assert (response.status_code, response.json()["error"]) == (400, "use_dpop_nonce")
    assert response.headers["dpop-nonce"] != bound.prover.nonce


@pytest.mark.parametrize("ath", [None, "", "x" * 43])
def test_23_a_proof_names_the_very_token_it_comes_with(world, bound, path, ath):
    token = token_for(bound, path)
    proof = bound.prover.proof("GET", ISSUER + path, None, ath=ath)

    assert resource_answers(world, path, token, "DPoP", proof)[0] == 401


def forged(bound: RelyingParty, header: dict, key: object = None, alg: str = "ES256") -> str:
    claims = jwt.decode(
        bound.prover.proof("POST", f"{ISSUER}/oauth/token"), options={"verify_signature": False}
    )
    headers = {"typ": "dpop+jwt", "jwk": bound.prover.jwk, **header}
    return jwt.encode(claims, key or bound.prover.key, alg, headers=headers)


def test_23_only_a_proof_is_a_proof(world: World, bound: RelyingParty):
    other = ec.generate_private_key(ec.SECP256R1())
    private = {**bound.prover.jwk, "d": "A" * 43}
    proofs = {
        "another type": forged(bound, {"typ": "JWT"}),
        "no type": forged(bound, {"typ": None}),
        "signed by another key": forged(bound, {}, other),
        "a private key in the header": forged(bound, {"jwk": private}),
        "no key in the header": forged(bound, {"jwk": None}),
        "a symmetric key": forged(
            bound, {"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, "s" * 64, "HS256"
        ),
        "a key that is no key": forged(bound, {"jwk": {**bound.prover.jwk, "key_ops": 5}}),
        "a key with lists for texts": forged(bound, {"jwk": {**bound.prover.jwk, "x": ["x"]}}),
        "an encryption key": forged(bound, {"jwk": {**bound.prover.jwk, "use": "enc"}}),
        "unsigned": jwt.encode(
            {"htm": "POST"}, None, "none", headers={"typ": "dpop+jwt", "jwk": bound.prover.jwk}
        ),
        "no JWT": "x",
        "too long": forged(bound, {"x": "y" * 9000}),
    }
    for name, proof in proofs.items():
        form, headers = bound.authenticated(CREDENTIALS)
        response = world.http.post("/oauth/token", form, headers={**headers, "dpop": proof})
        assert response.json()["error"] == "invalid_dpop_proof", name


def test_23_two_proofs_at_once_are_refused(world: World, bound: RelyingParty):
    form, headers = bound.authenticated(CREDENTIALS)
    url = f"{ISSUER}/oauth/token"
    twice = [*headers.items(), *(("dpop", bound.prover.proof("POST", url)) for _ in range(2))]

    response = world.http.post("/oauth/token", form, headers=twice)

    assert response.status_code == 400


def test_24_a_certificate_in_a_header_is_believed_only_from_the_named_hop(behind_a_proxy: World):
    shown = certificate("bureau")
    seen = behind_a_proxy.idp.senders.certificates

    def from_(client_ip: str) -> object:
        headers = {"client-cert": shown.header}
        return seen.of(HotRequest("POST", "/oauth/token", headers=headers, client_ip=client_ip))

    assert from_("127.0.0.1") is not None
    for stranger in ("127.0.0.2", "203.0.113.9", "::1", "::ffff:127.0.0.1", "", "unix:", "1"):
        assert from_(stranger) is None, stranger


def test_24_without_a_named_hop_no_certificate_is_ever_seen(world: World):
    registered = certificate("bureau")
    party = with_certificate(
        world, registered, token_endpoint_auth_method="self_signed_tls_client_auth",
        jwks={"keys": [registered.jwk]},
    )  # fmt: skip

    assert party.token(CREDENTIALS).json()["error"] == "invalid_client"


def test_24_a_named_hop_without_an_authority_vouches_for_no_name(behind_a_proxy: World):
    from tests.idp.token.test_sender_constraint import CA

    shown = certificate("bureau.example.gov.cn", CA)
    party = with_certificate(
        behind_a_proxy, shown, token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_subject_dn="CN=bureau.example.gov.cn",
    )  # fmt: skip
    request = HotRequest("POST", "/", headers={"client-cert": shown.header}, client_ip="127.0.0.1")

    def proves(*authorities: x509.Certificate) -> bool:
        seen = ClientCertificates(["127.0.0.1/32"], authorities)
        return seen.proves(seen.of(request), party.registered, behind_a_proxy.clock())

    assert proves(CA.certificate)
    assert not proves()


def test_24_a_name_is_worth_nothing_without_an_authority_of_ours(behind_a_proxy: World):
    name = "CN=bureau.example.gov.cn"
    party = with_certificate(
        behind_a_proxy, None, token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_subject_dn=name,
    )  # fmt: skip
    for forged_certificate in (
        certificate("bureau.example.gov.cn"),
        certificate("bureau.example.gov.cn", authority("Test client CA")),
        None,
    ):
        party.certificate = forged_certificate
        assert party.token(CREDENTIALS).json()["error"] == "invalid_client"


def test_24_a_certificate_of_our_authority_with_another_name_is_another_client(behind_a_proxy):
    from tests.idp.token.test_sender_constraint import CA

    party = with_certificate(
        behind_a_proxy, certificate("clinic.example.gov.cn", CA),
        token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_subject_dn="CN=bureau.example.gov.cn",
    )  # fmt: skip

    assert party.token(CREDENTIALS).json()["error"] == "invalid_client"


def test_24_a_self_signed_certificate_is_the_registered_one_to_the_last_bit(behind_a_proxy: World):
    """Not only its key: who holds that alone could choose every other field."""
    registered = certificate("bureau")
    party = with_certificate(
        behind_a_proxy, registered, token_endpoint_auth_method="self_signed_tls_client_auth",
        jwks={"keys": [registered.jwk]},
    )  # fmt: skip
    key = registered.key
    again = x509.CertificateBuilder().subject_name(registered.certificate.subject)
    again = again.issuer_name(registered.certificate.issuer).public_key(key.public_key())
    again = again.serial_number(7).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    again = again.not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))

    assert party.token(CREDENTIALS).status_code == 200
    for other in (certificate("bureau"), Certificate(again.sign(key, hashes.SHA256()), key)):
        party.certificate = other
        assert party.token(CREDENTIALS).json()["error"] == "invalid_client"


@pytest.mark.parametrize("registered", ["tls_client_auth_san_dns", "tls_client_auth_san_uri"])
def test_24_another_alternative_name_is_another_client(behind_a_proxy: World, registered: str):
    from tests.idp.token.test_sender_constraint import CA

    shown = certificate("bureau.example.gov.cn", CA, dns="clinic.example.gov.cn")
    party = with_certificate(
        behind_a_proxy, shown, token_endpoint_auth_method="tls_client_auth",
        **{registered: "bureau.example.gov.cn"},
    )  # fmt: skip

    assert party.token(CREDENTIALS).json()["error"] == "invalid_client"


def test_24_an_expired_certificate_proves_nothing(behind_a_proxy: World):
    from tests.idp.token.test_sender_constraint import CA

    for made in (certificate("b", CA, days=30), certificate("b", days=30)):
        client_id = "by-name" if made.certificate.issuer != made.certificate.subject else "by-key"
        by_name = {
            "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=b",
        }  # fmt: skip
        by_key = {
            "token_endpoint_auth_method": "self_signed_tls_client_auth",
            "jwks": {"keys": [made.jwk]},
        }
        party = behind_a_proxy.client(
            client_id, profile="fapi2", redirect_uris=(), grant_types=("client_credentials",),
            tls_client_certificate_bound_access_tokens=True,
            **(by_name if client_id == "by-name" else by_key),
        )  # fmt: skip
        party.certificate = made
        assert party.token(CREDENTIALS).json()["error"] == "invalid_client"


def test_24_a_certificate_put_before_the_proxys_is_not_the_one_that_is_seen(behind_a_proxy):
    mine, theirs = (
        quote(each.certificate.public_bytes(serialization.Encoding.PEM))
        for each in (certificate("thief"), certificate("bureau"))
    )
    seen = behind_a_proxy.idp.senders.certificates

    def of(header: str) -> object:
        headers = {"client-cert": header}
        return seen.of(HotRequest("POST", "/oauth/token", headers=headers, client_ip="127.0.0.1"))

    assert of(mine) is not None
    for two in (f"{theirs}, {mine}", f"{theirs},", f",{mine}"):
        with pytest.raises(Malformed):
            of(two)


@pytest.mark.parametrize("header", [":", "::", ":AAAA:", "x", ":AAAA:, :AAAA:", "%", "A" * 20_000])
def test_24_a_certificate_that_is_none_is_a_bad_request(behind_a_proxy: World, header):
    response = behind_a_proxy.http.post(
        "/oauth/token", {**CREDENTIALS, "client_id": "x"}, headers={"client-cert": header}
    )

    assert response.status_code in (400, 401)


def test_19_a_key_of_the_client_never_stands_for_a_key_of_ours(world: World, bound):
    """A token signed by a client's own registered key, with our kid, is not a token of ours."""
    key = ec.generate_private_key(ec.SECP256R1())
    kid = jwt.get_unverified_header(bound.tokens()["access_token"])["kid"]
    world.client(
        "crafty", token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [public_jwk(key, kid)]},
    )  # fmt: skip
    claims = world.verify(bound.tokens(scope="openid")["access_token"])
    claims.pop("cnf")
    forged_token = jwt.encode(claims, key, "ES256", headers={"kid": kid, "typ": "at+jwt"})

    assert resource_answers(world, "/oauth/userinfo", forged_token, "Bearer", None)[0] == 401


def test_no_proxy_and_no_authority_is_the_default():
    seen = ClientCertificates()
    request = HotRequest("GET", "/", headers={"client-cert": "x"}, client_ip="127.0.0.1")

    assert seen.of(request) is None
