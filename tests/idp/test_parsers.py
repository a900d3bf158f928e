"""Whatever arrives is either understood or refused in the standard's own words; nothing else."""

import base64
import json
from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from foundation.batching.routes import HotRequest, parse_pairs
from foundation.encryption import FieldCipher
from foundation.errors import Malformed
from idp.authorize import claims_request, request_objects
from idp.authorize.authorization import check_authorization
from idp.authorize.rules import RequestRefused
from idp.clients import remote_metadata
from idp.clients.credentials import read_credentials
from idp.clients.mtls import ClientCertificates
from idp.models import Client
from idp.protocol.authorizations import AuthorizationRequest
from idp.protocol.errors import (
    AuthorizationError,
    InvalidClient,
    InvalidClientMetadata,
    InvalidDpopProof,
)
from idp.protocol.messages import AuthorizationParameters
from idp.protocol.resources import REPEATED
from idp.token import dpop
from idp.token.dpop import Nonces, same_url
from tests.idp.world import ISSUER, PURPOSE, REDIRECT_URI, challenge, public_jwk

NOW = datetime(2026, 11, 25, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
JWK = public_jwk(KEY, "key-1")
NONCES = Nonces(FieldCipher(b"n" * 32))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
PARAMETERS = ("request_uri", *AuthorizationParameters.__struct_fields__[1:])  # all but two
PARTY = Client(
    client_id="party",
    name=PURPOSE,
    purpose=PURPOSE,
    organisation="x" * 18,
    organisation_name="X",
    profile="standard",
    redirect_uris=(REDIRECT_URI,),
    scopes=("openid", "profile"),
    claims=("name", "preferred_username", "locale"),
)


def proof_of(text: str) -> dpop.DpopProof:
    return dpop.check_proof(
        text,
        method="POST",
        urls=[f"{ISSUER}/oauth/token"],
        now=NOW,
        nonces=NONCES,
        access_token="t",
    )


@given(st.text())
def test_a_text_that_is_no_proof_is_refused(text: str):
    with pytest.raises(InvalidDpopProof):
        proof_of(text)


@given(st.dictionaries(st.sampled_from(["htm", "htu", "iat", "jti", "nonce", "ath", "x"]), JSON))
def test_a_signed_proof_may_say_anything_and_is_refused(claims):
    bare = {name: JWK[name] for name in ("kty", "crv", "x", "y")}
    text = jwt.encode(claims, KEY, "ES256", headers={"typ": "dpop+jwt", "jwk": bare})

    with pytest.raises(InvalidDpopProof):
        proof_of(text)


@given(st.text(), st.text())
def test_a_text_that_is_no_credential_is_refused(text: str, pair: str):
    """A byte that is not ASCII arrives as a Latin-1 character, which is no base64 either."""
    encoded = base64.b64encode(pair.replace(":", "").encode()).decode()

    for header in (text, f"Basic {text}", f"Basic é{encoded}", f"Basic {encoded}"):
        with pytest.raises(InvalidClient):
            read_credentials({"authorization": header}, {})


@given(JSON)
def test_whatever_stands_where_a_key_should_be_is_no_key(jwk):
    header = base64.urlsafe_b64encode(
        json.dumps({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}).encode()
    )

    with pytest.raises(InvalidDpopProof):
        proof_of(f"{header.rstrip(b'=').decode()}.e30.{'A' * 86}")


@given(st.text(), st.text())
def test_comparing_addresses_never_fails(one: str, other: str):
    assert same_url(one, f"{ISSUER}/oauth/token") is False
    assert same_url(f"https://{one}", f"https://{other}") in (True, False)


@given(st.text(), st.text())
def test_a_header_holds_a_certificate_or_a_bad_request(header: str, chain: str):
    seen = ClientCertificates(["127.0.0.1"])
    headers = {"client-cert": header, "client-cert-chain": chain}

    with pytest.raises(Malformed):
        seen.of(HotRequest("POST", "/oauth/token", headers=headers, client_ip="127.0.0.1"))


@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "client_id", "scope"]), JSON))
def test_a_signed_request_may_say_anything_and_is_refused(claims):
    text = jwt.PyJWS().encode(json.dumps(claims).encode(), KEY, "ES256", {"kid": "key-1"})

    with pytest.raises(AuthorizationError):
        request_objects.read(text, PARTY, {"keys": [JWK]}, issuer=ISSUER, now=NOW)


@given(JSON | st.fixed_dictionaries({"id_token": JSON, "userinfo": JSON}))
def test_wishes_are_read_or_refused(value):
    given_ = {"claims": json.dumps(value)}

    try:
        read = claims_request.read(given_, PARTY, ("openid",), None)
    except AuthorizationError:
        return
    assert set(read.userinfo) | set(read.id_token) <= set(PARTY.claims)


@given(
    st.dictionaries(
        st.sampled_from(AuthorizationParameters.__struct_fields__[1:]), st.text(max_size=30)
    )
)
def test_any_request_of_a_known_client_is_checked_or_goes_back_with_an_error(params):
    good = {
        "client_id": "party",
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": challenge("v" * 43),
        "code_challenge_method": "S256",
    }

    checked = check_authorization({**good, **params}, PARTY, issuer=ISSUER, now=NOW)

    if isinstance(checked, RequestRefused):
        assert checked.redirect_uri == REDIRECT_URI
        assert dict(checked.parameters)["iss"] == ISSUER
    else:
        assert isinstance(checked, AuthorizationRequest)
        assert checked.scopes


@given(st.binary(max_size=60))
def test_a_sector_document_is_a_list_with_our_address_or_refused(document: bytes):
    with pytest.raises(InvalidClientMetadata):
        remote_metadata.check_sector(document, PARTY)


@given(st.lists(st.tuples(st.sampled_from(["resource", "scope"]), st.text("ab", max_size=3))))
def test_only_resources_may_be_named_twice(pairs):
    encoded = "&".join(f"{name}={value}" for name, value in pairs).encode()
    scopes = [value for name, value in pairs if name == "scope"]

    if len(scopes) > 1:
        with pytest.raises(Malformed):
            parse_pairs(encoded, REPEATED)
    else:
        read = parse_pairs(encoded, REPEATED)
        resources = [value for name, value in pairs if name == "resource"]
        assert read.get("resource", "").split() == [value for value in resources if value]
