"""What the installation signs, read by a library and keys that strangers have."""

from collections.abc import Iterator
from datetime import timedelta

import jwt
import pytest

from foundation.clock import system_clock
from server import doctor, strangers
from server.assembly import Installation, opened
from server.settings import Settings

NOBODY = "urn:yinzheng:nobody"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with opened(Settings(data_dir=tmp_path_factory.mktemp("doctor"))) as house:
        yield house


@pytest.fixture(scope="module")
def keys(house: Installation) -> jwt.PyJWKSet:
    return doctor._published(house)


def test_a_fresh_token_id_token_and_receipt_are_read_by_strangers(house: Installation) -> None:
    read = ("access token", "ID token by ES256", "ID token by RS256", "receipt")

    assert doctor.findings(house) == dict.fromkeys(read, "ok")


def test_after_a_rotation_they_still_are(house: Installation) -> None:
    for use in ("idp.tokens", "idp.tokens.rs256", "exchange.receipts"):
        house.keys.rotate(use, at_once=True)

    assert set(doctor.findings(house).values()) == {"ok"}


def test_looking_leaves_nothing_behind(house: Installation) -> None:
    house.ledger.integrate_all()
    before = house.ledger.fsck().size

    doctor.findings(house)

    house.ledger.integrate_all()
    assert house.ledger.fsck().size == before


def test_what_was_made_to_be_looked_at_opens_nothing(house: Installation) -> None:
    made = house.idp.tokens.specimens(system_clock())

    with pytest.raises(Exception, match="another audience"):
        house.idp.tokens.verify_access_token(
            made.access_token, audience=house.idp.tokens.api_audience, now=system_clock()
        )
    with pytest.raises(Exception, match="another audience"):
        house.idp.tokens.verify_access_token(
            made.access_token, audience=house.settings.issuer, now=system_clock()
        )


def test_why_a_stranger_cannot_read_it_is_said(house: Installation, keys: jwt.PyJWKSet) -> None:
    issuer, now = house.settings.issuer, system_clock()
    token = house.idp.tokens.specimens(now).access_token
    old = house.idp.tokens.specimens(now - timedelta(hours=1)).access_token
    others = jwt.PyJWKSet([each._jwk_data for each in keys.keys if each.key_id != kid_of(token)])
    payload = token.split(".")[1]
    forged = token.replace(payload, payload[:-4] + ("AAAA" if payload[-4:] != "AAAA" else "BBBB"))

    def finding(text: str, known: jwt.PyJWKSet = keys, typ: str = "at+jwt", **more: str) -> str:
        asked = {"issuer": issuer, "audience": NOBODY, **more}
        return doctor.finding(known, text, typ=typ, **asked)

    assert finding(token) == "ok"
    assert "not published" in finding(token, others)
    assert "Signature" in finding(forged)
    assert "expired" in finding(old)
    assert "type" in finding(token, typ="JWT")
    assert "issuer" in finding(token, issuer="https://other.example").lower()
    assert "udience" in finding(token, audience="other")


def test_a_token_signed_with_our_public_key_as_a_secret_is_not_read(keys: jwt.PyJWKSet) -> None:
    kid = keys.keys[0].key_id
    forged = jwt.encode({"iss": "x"}, "a" * 64, "HS256", headers={"kid": kid, "typ": "at+jwt"})

    with pytest.raises(jwt.PyJWTError):
        strangers.read(forged, keys, typ="at+jwt", issuer="x")


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])
