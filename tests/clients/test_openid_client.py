"""openid-client and jose, as their authors published them, against the whole house."""

from typing import Any

import httpx
import pytest

from foundation.actor import SYSTEM
from idp import Authenticated
from idp.clients.metadata import Bounds
from tests.clients.conftest import PURPOSE, REDIRECT_URI, Flows, Site, Visitor, key_pair
from tests.idp.proofs import authority, certificate
from tests.simulators.tls_proxy import TlsProxy

pytestmark = pytest.mark.node

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def test_discovery_is_accepted(site: Site, flows: Flows):
    found = flows.run("discovery", site.client("discovering"))

    assert found["issuer"] == site.issuer


def test_code_with_pkce_userinfo_and_refresh(site: Site, flows: Flows):
    found = flows.run("code", site.client("plain"))

    assert found["tokens"]["claims"]["sub"] == site.chen.id
    assert found["userinfo"]["name"] == "陈静怡"
    assert found["refreshed"]["refresh_token"] != found["tokens"]["refresh_token"]


def test_private_key_jwt_and_dpop(site: Site, flows: Flows):
    private, public = key_pair("sig-1")
    config = site.client(
        "bound",
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [public]},
        dpop_bound_access_tokens=True,
    )

    found = flows.run("dpop", {**config, "client_jwk": private})

    assert found["tokens"]["token_type"].lower() == "dpop"
    assert found["userinfo"]["name"] == "陈静怡"
    assert found["refreshed"]["token_type"].lower() == "dpop"
    assert found["stolen"]["status"] == 401, "without the key the token is worth nothing"


def test_fapi2_pushed_request_private_key_jwt_and_dpop(site: Site, flows: Flows):
    private, public = key_pair("sig-1")
    config = site.client(
        "strict",
        profile="fapi2",
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [public]},
        dpop_bound_access_tokens=True,
    )

    found = flows.run("dpop", {**config, "client_jwk": private, "pushed": True})

    assert found["tokens"]["claims"]["sub"] == site.chen.id
    assert found["userinfo"]["name"] == "陈静怡"
    assert found["stolen"]["status"] == 401


def test_mtls_client_credentials_give_a_token_bound_to_the_certificate(tmp_path, packages):
    office = authority("Office CA")
    at_the_door = certificate("localhost", office, dns="localhost").save(tmp_path / "door.pem")
    program = certificate("food-office", office, dns="food.example.gov.cn")
    trusted = office.save(tmp_path / "ca.pem")
    proxy = TlsProxy(at_the_door, trusted)
    site = Site(tmp_path / "house", proxy.url, trusted_proxies="127.0.0.1", client_ca_file=trusted)
    proxy.upstream = site.address
    config = site.client(
        "certified",
        profile="fapi2",
        token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_san_dns="food.example.gov.cn",
        tls_client_certificate_bound_access_tokens=True,
        grant_types=("client_credentials",),
        redirect_uris=(),
    )
    files = {
        "certificate": str(program.save(tmp_path / "program.pem")),
        "authority": str(trusted),
    }

    found = Flows(site).run("certificate", {**config, **files, "scope": "verifications"})
    site.stop()
    proxy.shutdown()

    assert found["told"]["active"] is True
    assert found["told"]["cnf"] == {"x5t#S256": program.x5t}


def test_the_device_grant(site: Site, flows: Flows):
    config = site.client(
        "kiosk",
        profile="public",
        token_endpoint_auth_method="none",
        redirect_uris=(),
        grant_types=(DEVICE_CODE, "refresh_token"),
    )

    def approve(started: dict[str, Any]) -> None:
        signed_in = site.house.idp.sign_in("chen-jingyi", "correct horse battery staple")
        assert isinstance(signed_in, Authenticated)
        site.house.idp.devices.answer(signed_in.session_id, started["user_code"], True)

    tokens = flows.run("device", {**config, "scope": "openid profile offline_access"}, approve)

    assert tokens["claims"]["sub"] == site.chen.id
    assert tokens["refresh_token"]


def test_introspection_and_revocation(site: Site, flows: Flows):
    config = site.client("asking")
    token = flows.run("credentials", {**config, "scope": "verifications"})["access_token"]

    found = flows.run("introspection", {**config, "token": token})

    assert found["before"]["active"] is True
    assert found["before"]["client_id"] == "asking"
    assert found["after"] == {"active": False}


def test_signed_introspection(site: Site, flows: Flows):
    config = site.client("asking-signed")
    token = flows.run("credentials", {**config, "scope": "verifications"})["access_token"]

    found = flows.run("signed_introspection", {**config, "token": token})

    assert found["active"] is True


def test_an_encrypted_id_token_and_userinfo(site: Site, flows: Flows):
    private, public = key_pair("enc-1", use="enc", alg="ECDH-ES")
    config = site.client(
        "sealed",
        jwks={"keys": [public]},
        id_token_encrypted_response_alg="ECDH-ES",
        userinfo_signed_response_alg="ES256",
        userinfo_encrypted_response_alg="ECDH-ES",
    )

    found = flows.run("encrypted", {**config, "encryption_jwk": private})

    assert found["tokens"]["id_token"].count(".") == 4
    assert found["tokens"]["claims"]["sub"] == site.chen.id
    assert found["userinfo"]["name"] == "陈静怡"
    opened = flows.run(
        "decrypt",
        {"token": found["tokens"]["id_token"], "encryption_jwk": private, "alg": "ECDH-ES"},
    )
    inner = {"issuer": site.issuer, "token": opened["token"], "typ": "JWT", "audience": "sealed"}
    assert flows.run("verify", inner)["payload"]["sub"] == site.chen.id


def test_a_program_registers_itself_and_signs_people_in(site: Site, flows: Flows):
    bounds = Bounds(
        organisation="11990000MB1A0001XX",
        organisation_name="示例市市场监督管理局",
        purpose=PURPOSE,
        scopes=("openid", "profile", "offline_access"),
        claims=("name", "preferred_username", "locale"),
    )
    config = {
        "issuer": site.issuer,
        "redirect_uri": REDIRECT_URI,
        "initial_access_token": site.house.idp.registrations.allow(bounds, by=SYSTEM),
        "metadata": {
            "client_name": "Food licences online",
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_post",
            "claims": list(bounds.claims),
        },
    }

    found = flows.run("registration", config)

    assert found["registered"]["client_id"].startswith("dyn-")
    assert found["tokens"]["claims"]["aud"] == found["registered"]["client_id"]


def test_a_signed_request_object(site: Site, flows: Flows):
    private, public = key_pair("sig-1")
    config = site.client(
        "signing-requests",
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [public]},
        require_signed_request_object=True,
    )

    found = flows.run("signed_request", {**config, "client_jwk": private})

    assert found["claims"]["sub"] == site.chen.id


def test_back_channel_logout(site: Site, flows: Flows):
    idp = site.house.idp

    def person(said: dict[str, Any]) -> Any:
        if "register" in said:
            return site.client("told", backchannel_logout_uri=said["register"])
        for session in idp.sessions.of(site.chen):
            idp.sessions.end_one_of(site.chen, session.sid)
        return site.house.jobs.run_pending()

    found = flows.run("backchannel", {"issuer": site.issuer}, person)

    assert found["told"]["sid"] == found["signed_in"]["sid"]
    assert found["told"]["sub"] == site.chen.id
    assert "nonce" not in found["told"]
    confirmed = [notice.client.client_id for notice in idp.notices.of(site.chen)]
    assert confirmed == ["told"]
    assert idp.notices.unconfirmed(site.chen) == []


def test_jose_verifies_what_we_issue_by_our_jwk_set_alone(site: Site, flows: Flows):
    config = site.client("checked")
    tokens = flows.run("code", config)["tokens"]
    ours = {"issuer": site.issuer}

    access = flows.run(
        "verify",
        {**ours, "token": tokens["access_token"], "typ": "at+jwt", "audience": site.issuer},
    )
    identity = flows.run(
        "verify", {**ours, "token": tokens["id_token"], "typ": "JWT", "audience": "checked"}
    )

    assert access["payload"]["client_id"] == "checked"
    assert identity["payload"]["sub"] == access["payload"]["sub"] == site.chen.id


def test_a_person_can_drive_every_page_without_javascript(site: Site):
    config = site.client("by-hand")
    request = {
        "client_id": "by-hand",
        "redirect_uri": config["redirect_uri"],
        "response_type": "code",
        "scope": "openid",
        "state": "s",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }

    url = httpx.URL(f"{site.issuer}/oauth/authorize", params=request)
    back = httpx.URL(Visitor(site).visit(str(url)))

    assert back.params["state"] == "s"
    assert back.params["iss"] == site.issuer
