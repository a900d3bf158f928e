"""SD-JWT VC: what we issue others verify, what others would let pass we refuse by name."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from sd_jwt.holder import SDJWTHolder
from sd_jwt.verifier import SDJWTVerifier

from foundation.canonical import b64url
from keys import Keys
from signing.errors import CredentialRefused
from signing.formats import sd_jwt_vc
from signing.formats.sd_jwt_vc import KeyBinding
from tests.signing.conftest import House

USE = "certificates.credentials"
HOLDER = "wallet/holder-1"
ISS = "https://yinzheng.test"
VCT = "https://yinzheng.test/types/food-business-licence"
CLAIMS = {
    "name": "临江市滨江路好味道餐饮有限公司",
    "code": "91350100M000100Y43",
    "address": {"city": "临江市", "street": "滨江路一百二十八号"},
    "scope": ["热食类食品制售", "冷食类食品制售"],
    "number": "JY23501000000011",
}
DISCLOSABLE = {"name", "code", "address", "scope"}


@pytest.fixture
def keys(house: House) -> Keys:
    house.keys.ensure(USE)
    house.keys.ensure(HOLDER)
    return house.keys


@pytest.fixture
def credential(house: House, keys: Keys) -> str:
    return issued(house)


def issued(house: House, **more: Any) -> str:
    values: dict[str, Any] = {
        "vct": VCT,
        "claims": CLAIMS,
        "disclosable": DISCLOSABLE,
        "iss": ISS,
        "iat": house.clock(),
        "exp": house.clock() + timedelta(days=365),
        "cnf": {"jwk": public_jwk(house.keys, HOLDER)},
    }
    return sd_jwt_vc.issue(house.keys, USE, **(values | more))


def public_jwk(keys: Keys, use: str) -> dict[str, Any]:
    wanted = ("kty", "crv", "x", "y")
    return {name: keys.active(use).public_jwk[name] for name in wanted}


def verified(house: House, text: str, **more: Any) -> sd_jwt_vc.VerifiedSdJwt:
    values = {"key_for": house.keys.trusted(USE), "now": house.clock()}
    return sd_jwt_vc.verify(text, **(values | more))


def refusal(house: House, text: str, **more: Any) -> str:
    with pytest.raises(CredentialRefused) as refused:
        verified(house, text, **more)
    return refused.value.reason


def disclosures(credential: str) -> dict[str, str]:
    """Claim name to disclosure, as a wallet sees them."""
    _signed, *found, _binding = credential.split("~")
    return {json.loads(decoded(text))[1]: text for text in found}


def decoded(text: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def presented(credential: str, *names: str) -> str:
    signed, *_ = credential.split("~")
    chosen = disclosures(credential)
    return "~".join((signed, *(chosen[name] for name in names), ""))


# --- for us -----------------------------------------------------------------------------------


def test_a_credential_verifies_with_everything_disclosed(house: House, credential: str) -> None:
    found = verified(house, credential, vct=VCT, iss=ISS)

    assert {name: found.claims[name] for name in CLAIMS} == CLAIMS
    assert found.disclosed == DISCLOSABLE
    assert found.vct == VCT
    assert not found.bound


def test_a_holder_shows_only_what_is_asked_for(house: House, credential: str) -> None:
    found = verified(house, presented(credential, "code"))

    assert found.claims["code"] == CLAIMS["code"]
    assert found.claims["number"] == CLAIMS["number"]  # never disclosable, so always there
    assert not {"name", "address", "scope"} & found.claims.keys()


def test_hidden_values_cannot_be_guessed_from_the_digests(house: House, keys: Keys) -> None:
    """Each disclosure has a salt of its own, so equal claims leave different digests."""
    first, second = issued(house), issued(house)

    assert set(payload_of(first)["_sd"]).isdisjoint(payload_of(second)["_sd"])
    for disclosure in disclosures(first).values():
        assert len(decoded(json.loads(decoded(disclosure))[0])) == 16


def test_the_order_of_digests_tells_nothing(credential: str) -> None:
    digests = payload_of(credential)["_sd"]

    assert digests == sorted(digests)


def payload_of(credential: str) -> dict[str, Any]:
    return json.loads(decoded(credential.split("~")[0].split(".")[1]))


def test_reserved_names_cannot_be_issued(house: House, keys: Keys) -> None:
    for name in ("iss", "exp", "cnf", "vct", "status", "_sd", "...", "iat"):
        with pytest.raises(CredentialRefused, match=name.replace(".", r"\.")):
            issued(house, claims={name: "x"}, disclosable=())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).map("c:".__add__),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=6,
        ),
        max_size=6,
    ),
    data=st.data(),
)
def test_any_claims_come_back_as_they_were_issued(
    house: House, keys: Keys, claims: dict[str, Any], data: st.DataObject
) -> None:
    hidden = data.draw(st.sets(st.sampled_from(sorted(claims)))) if claims else set()
    text = issued(house, claims=claims, disclosable=hidden)

    found = verified(house, text).claims

    assert {name: found[name] for name in claims} == claims


# --- for others -------------------------------------------------------------------------------


def issuer_key(house: House) -> Callable[..., JWK]:
    jwk = JWK(**public_jwk(house.keys, USE))
    return lambda *_arguments: jwk


def test_another_library_verifies_what_we_issue(house: House, credential: str) -> None:
    verifier = SDJWTVerifier(credential, issuer_key(house))

    claims = verifier.get_verified_payload()

    assert {name: claims[name] for name in CLAIMS} == CLAIMS


def test_another_library_presents_our_credential_and_we_verify_it(
    house: House, credential: str
) -> None:
    holder = SDJWTHolder(credential)
    holder.create_presentation({"name": True})

    found = verified(house, holder.sd_jwt_presentation)

    assert found.claims["name"] == CLAIMS["name"]
    assert found.disclosed == {"name"}


# --- key binding ------------------------------------------------------------------------------

BINDING = KeyBinding(audience="https://agency.test", nonce="n-0S6_WzA2Mj")


def bound(house: House, text: str, use: str = HOLDER, **changed: Any) -> str:
    claims = {
        "iat": int(house.clock().timestamp()),
        "aud": BINDING.audience,
        "nonce": BINDING.nonce,
        "sd_hash": b64url(hashlib.sha256(text.encode()).digest()),
    } | changed
    return text + house.keys.jws(use, claims, typ="kb+jwt")


def test_a_holder_proves_to_hold_the_key(house: House, credential: str) -> None:
    text = bound(house, presented(credential, "name"))

    assert verified(house, text, binding=BINDING).bound


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"aud": "https://other.test"}, "key_binding_wrong"),
        ({"nonce": "old"}, "key_binding_wrong"),
        ({"sd_hash": "x"}, "key_binding_wrong"),
        ({"iat": 0}, "key_binding_stale"),
        ({"iat": "now"}, "key_binding_wrong"),
    ],
)
def test_a_proof_made_for_something_else_is_refused(
    house: House, credential: str, changed: dict[str, Any], reason: str
) -> None:
    assert refusal(house, bound(house, credential, **changed), binding=BINDING) == reason


def test_a_stolen_credential_without_its_key_is_refused(house: House, credential: str) -> None:
    house.keys.ensure("wallet/thief")

    assert refusal(house, credential, binding=BINDING) == "key_binding_missing"
    stolen = bound(house, credential, use="wallet/thief")
    assert refusal(house, stolen, binding=BINDING) == "key_binding_wrong"


def test_showing_more_or_less_after_the_proof_is_refused(house: House, credential: str) -> None:
    proved = bound(house, presented(credential, "name"))
    binding = proved.rpartition("~")[2]

    more = presented(credential, "name", "code") + binding

    assert refusal(house, more, binding=BINDING) == "key_binding_wrong"


def test_a_proof_nobody_asked_for_is_refused(house: House, credential: str) -> None:
    assert refusal(house, bound(house, credential)) == "key_binding_unexpected"


# --- strictness (RFC 9901 §7.1) ---------------------------------------------------------------


def signed(house: House, payload: dict[str, Any], *shown: str) -> str:
    """A credential whose issuer is careless: its own key, whatever payload."""
    body = {"vct": VCT, "iss": ISS, "iat": int(house.clock().timestamp())} | payload
    return "~".join((house.keys.jws(USE, body, typ="dc+sd-jwt"), *shown, ""))


def disclosure(*parts: Any) -> str:
    return b64url(orjson.dumps(list(parts)))


def digest(text: str) -> str:
    return b64url(hashlib.sha256(text.encode()).digest())


NAME = disclosure("salt-1", "name", "甲")
ELEMENT = disclosure("salt-2", "甲")
NESTED = disclosure("salt-3", "outer", {"_sd": [digest(NAME)]})


def test_nested_disclosures_come_to_their_places(house: House, keys: Keys) -> None:
    text = signed(house, {"_sd": [digest(NESTED)], "list": [{"...": digest(ELEMENT)}]})

    hidden = verified(house, text).claims
    shown = verified(house, text[:-1] + "~".join(["", NESTED, NAME, ELEMENT, ""])).claims

    assert hidden["list"] == []
    assert shown["outer"] == {"name": "甲"}
    assert shown["list"] == ["甲"]


ODD: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("digest_repeated", {"_sd": [digest(NAME), digest(NAME)]}, (NAME,)),
    ("digest_repeated", {"_sd": [digest(NAME)], "in": {"_sd": [digest(NAME)]}}, ()),
    ("disclosure_repeated", {"_sd": [digest(NAME)]}, (NAME, NAME)),
    ("disclosure_unreferenced", {}, (NAME,)),
    ("disclosure_unreferenced", {"_sd": [digest(NESTED)]}, (NAME,)),
    ("claim_name_taken", {"name": "乙", "_sd": [digest(NAME)]}, (NAME,)),
    ("disclosure_malformed", {"_sd": [digest(ELEMENT)]}, (ELEMENT,)),
    ("disclosure_malformed", {"list": [{"...": digest(NAME)}]}, (NAME,)),
    ("disclosure_malformed", {"_sd": [digest("e30")]}, ("e30",)),
    ("disclosure_malformed", {}, ("not base64url!",)),
    ("disclosure_malformed", {}, (b64url(b'["s","n",{"a":1,"a":2}]'),)),
    ("disclosure_malformed", {}, (b64url(b'["s","n",{"a":NaN}]'),)),
    ("disclosure_malformed", {}, (disclosure(1, "name", "x"),)),
    ("sd_malformed", {"_sd": "digest"}, ()),
    ("sd_malformed", {"_sd": [1]}, ()),
    ("sd_malformed", {"list": [{"...": digest(ELEMENT), "more": 1}]}, ()),
    ("sd_alg_unsupported", {"_sd_alg": "md5"}, ()),
    ("claim_name_reserved", {"...": "x"}, ()),
    ("claim_name_reserved", {"in": {"_sd_alg": "sha-256"}}, ()),
    ("vct_missing", {"vct": ""}, ()),
    ("vct_missing", {"vct": 1}, ()),
    ("status_malformed", {"status": "revoked?"}, ()),
    ("cnf_malformed", {"cnf": []}, ()),
    ("issuer_malformed", {"iss": 1}, ()),
    ("time_malformed", {"exp": "tomorrow"}, ()),
    ("time_malformed", {"nbf": True}, ()),
]
for _name in ("iss", "exp", "cnf", "vct", "status", "nbf"):
    _shown = disclosure("salt", _name, 1)
    ODD.append(("registered_claim_disclosed", {"_sd": [digest(_shown)], _name: None}, (_shown,)))
for _name in ("_sd", "...", "_sd_alg"):
    _shown = disclosure("salt", _name, [])
    ODD.append(("claim_name_reserved", {"_sd": [digest(_shown)]}, (_shown,)))


@pytest.mark.parametrize(("reason", "payload", "shown"), ODD)
def test_a_careless_issuer_does_not_get_past_us(
    house: House, keys: Keys, reason: str, payload: dict[str, Any], shown: tuple[str, ...]
) -> None:
    if reason == "registered_claim_disclosed":
        base = {"vct": VCT, "iat": 0}
        name = next(name for name, value in payload.items() if value is None)
        base.pop(name, None)
        body = base | {"_sd": payload["_sd"]}
        text = "~".join((house.keys.jws(USE, body, typ="dc+sd-jwt"), *shown, ""))
    else:
        text = signed(house, payload, *shown)

    assert refusal(house, text) == reason


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"exp": 1}, "expired"),
        ({"nbf": 9_999_999_999}, "not_yet_valid"),
        ({"iat": 9_999_999_999}, "issued_in_future"),
    ],
)
def test_times_are_checked_here(
    house: House, keys: Keys, payload: dict[str, Any], reason: str
) -> None:
    assert refusal(house, signed(house, payload)) == reason


def test_only_the_expected_type_and_issuer_are_accepted(house: House, credential: str) -> None:
    assert refusal(house, credential, vct="https://yinzheng.test/types/other") == "vct_unexpected"
    assert refusal(house, credential, iss="https://elsewhere.test") == "issuer_unexpected"


def test_another_kind_of_token_is_no_credential(house: House, keys: Keys) -> None:
    token = keys.jws(USE, {"vct": VCT}, typ="at+jwt")

    assert refusal(house, token + "~") == "unsupported_header"


def test_what_is_too_long_or_has_no_tilde_is_no_credential(house: House, credential: str) -> None:
    assert refusal(house, credential.split("~")[0]) == "not_an_sd_jwt"
    assert refusal(house, credential + "~" * 300_000) == "not_an_sd_jwt"
    assert refusal(house, credential + "é~") == "not_an_sd_jwt"


def test_a_thousand_disclosures_are_refused_before_they_are_read(
    house: House, credential: str
) -> None:
    assert refusal(house, credential + (NAME + "~") * 300) == "too_many_disclosures"


def test_a_changed_disclosure_is_somebody_elses(house: House, credential: str) -> None:
    forged = disclosure("salt", "name", "乙")

    text = presented(credential, "code")[:-1] + "~" + forged + "~"

    assert refusal(house, text) == "disclosure_unreferenced"


def test_bottomless_nesting_is_refused(house: House, keys: Keys) -> None:
    deep: Any = "x"
    for _level in range(40):
        deep = {"a": deep}

    assert refusal(house, signed(house, {"deep": deep})) in {"too_deep", "malformed_jws"}
