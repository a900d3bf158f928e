"""What is no certificate of ours (57): called so, and neither believed nor called a forgery.

Most who choose a wrong file are holders with the wrong attachment; some are strangers who sign for
themselves. A damaged certificate of ours stays what it is: tampered.
"""

import io
import json
import zipfile
from datetime import timedelta

import jwt
import pikepdf
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from pyhanko.sign import SimpleSigner

from certificates.register import store as certificate_store
from foundation.actor import ANONYMOUS
from foundation.canonical import b64url, b64url_decode
from tests.exchange.conftest import (
    BANKER,
    LI,
    asking,
    house,
    licence,
    renderer,
    types,
)
from tests.signing.conftest import stranger
from tests.signing.foreign.test_sealing import letter, seal_it
from tests.signing.pages import page
from tests.signing.validation.test_service import signed_by

__all__ = ["house", "licence", "renderer", "stranger", "types"]  # fixtures of others' tests

DEPARTMENT = {"purpose": "food-inspection"}
EVERYBODY = {"purpose": "public-check", "legal_basis": "", "case_ref": ""}


def picture(form: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 180, 160)).save(out, form)
    return out.getvalue()


def word_document() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w:document/>")
    return out.getvalue()


def encrypted(password: str) -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(page(standard="1.7"))) as document:
        document.save(out, encryption=pikepdf.Encryption(owner="o", user=password))
    return out.getvalue()


FILES = {
    "a docx": word_document,
    "a png": lambda: picture("PNG"),
    "a jpeg": lambda: picture("JPEG"),
    "a text": lambda: "您好，附上材料。".encode(),
    "bytes": lambda: bytes(range(256)) * 16,
    "an unsigned PDF": letter,
    "an unsigned page of our renderer": lambda: page(standard="1.7"),
    "an encrypted PDF": lambda: encrypted(""),
    "a PDF with a password": lambda: encrypted("u"),
    "a broken PDF": lambda: b"%PDF-1.7\nnothing of the kind",
    "half a PDF": lambda: letter()[:300],
    "a token": lambda: jwt.encode({"sub": "x"}, "k" * 32).encode(),
    "the beginning of one": lambda: b"eyJ",
}


def must_be_no_certificate(verdict) -> None:
    assert verdict.verdict == "not_a_certificate"
    assert {check.result for check in verdict.checks} == {"unknown"}
    assert verdict.checks[0].code == "no_document"
    assert not verdict.fields
    assert not verdict.predicates
    assert verdict.type == verdict.issuing_authority == verdict.identifier == ""
    assert "issuing authority" not in verdict.next_step
    assert "issued" in verdict.next_step


@pytest.mark.parametrize("made", FILES.values(), ids=FILES)
def test_57_an_ordinary_file_is_not_called_forged(house, made):
    for why, who in ((DEPARTMENT, None), (EVERYBODY, ANONYMOUS)):
        asked = asking(document=made(), **why)
        must_be_no_certificate(house.ask_now(asked, *([who] if who else [])))


def test_57_what_a_stranger_signed_is_not_ours_and_passes_nothing(house, stranger: SimpleSigner):
    signed = signed_by(stranger, letter())
    changed = bytearray(signed)
    changed[signed.index(b"595")] ^= 1  # their document, their affair

    for document in (signed, bytes(changed)):
        must_be_no_certificate(house.ask_now(asking(document=document)))


def test_57_a_letter_that_a_seal_of_ours_is_on_is_no_certificate(house):
    [seal] = house.seals.all()
    sealed = seal_it(house, house.seals.get(seal.id), letter()).data
    assert house.signing.validate(sealed).check("seal").result == "pass"

    must_be_no_certificate(house.ask_now(asking(document=sealed)))
    altered = house.ask_now(asking(document=sealed + b"\n% more"))
    assert altered.verdict == "tampered"


def test_57_whoever_may_not_ask_learns_nothing_about_a_file(house):
    verdict = house.ask_now(asking(document=letter()), BANKER)

    assert (verdict.verdict, verdict.reason) == ("not_permitted", "purpose_not_held")


# ── credentials ──────────────────────────────────────────────────────────────────────────────


def credential_of(house, licence) -> str:
    with house.database.read() as tx:
        return certificate_store.rendition(tx, licence.id, "dc+sd-jwt").decode()


def header_of(credential: str) -> dict[str, str]:
    return json.loads(b64url_decode(credential.split(".")[0]))


@pytest.mark.parametrize("identifier", ["theirs", "ours"])
@pytest.mark.parametrize("kid", ["none", "unknown", "of our tokens"])
def test_57_a_strangers_credential_passes_no_check(house, licence, identifier, kid):
    """Whatever number it names: what is not signed by us is not looked up."""
    house.keys.ensure("idp.tokens")
    kids = {"none": {}, "unknown": {"kid": "my-own-key"}}
    kids["of our tokens"] = {"kid": house.keys.active("idp.tokens").kid}
    named = licence.identifier if identifier == "ours" else "1.2.156.3005.2.NOBODY"
    claims = {"identifier": named, "vct": "x", "iss": "https://yinzheng.test"}
    own = ec.generate_private_key(ec.SECP256R1())

    signed = jwt.encode(claims, own, "ES256", headers={"typ": "dc+sd-jwt", **kids[kid]})

    for why in (DEPARTMENT, EVERYBODY):
        verdict = house.ask_now(asking(document=f"{signed}~".encode(), **why))
        must_be_no_certificate(verdict)
    assert house.looks(licence) == []


def test_57_a_credential_under_the_name_of_our_key_is_tampered_and_passes_nothing(house, licence):
    header = header_of(credential_of(house, licence))
    own = ec.generate_private_key(ec.SECP256R1())
    for named in (licence.identifier, "1.2.156.3005.2.NOBODY"):
        signed = jwt.encode(
            {"identifier": named}, own, "ES256", headers={"typ": "dc+sd-jwt", "kid": header["kid"]}
        )

        verdict = house.ask_now(asking(document=f"{signed}~".encode()))

        assert verdict.verdict == "tampered"
        assert "pass" not in {check.result for check in verdict.checks}
        assert not verdict.fields


def test_57_a_credential_that_our_seal_signed_and_the_register_does_not_know_is_not_found(
    house, licence, monkeypatch
):
    """A register set back to an earlier day: genuine, and still nothing to go by."""
    credential = credential_of(house, licence)
    monkeypatch.setattr(house.verifications._facts, "_records", lambda tx, keys: {"identifier": {}})

    verdict = house.ask_now(asking(document=credential.encode()))

    assert verdict.verdict == "not_found"


def test_57_a_genuine_credential_is_still_known_after_its_key_was_replaced(house, licence):
    credential = credential_of(house, licence)
    house.clock.advance(timedelta(days=30))
    with house.database.write() as tx:
        house.seals.revoke(tx, licence.seal_id, by=LI, now=house.clock(), reason="lost")

    assert house.ask_now(asking(document=credential.encode())).verdict == "valid"


@pytest.mark.parametrize("change", ["a letter", "a claim", "a byte that is no letter"])
def test_57_a_changed_credential_of_ours_is_tampered(house, licence, change):
    credential = credential_of(house, licence)
    signed, *rest = credential.split("~")
    middle = len(signed) // 2
    claim = b64url(b'["salt","operator_name","Forged"]')
    changed = {
        "a letter": signed[:middle]
        + ("A" if signed[middle] != "A" else "B")
        + signed[middle + 1 :],
        "a claim": f"{signed}~{claim}",
        "a byte that is no letter": signed[:middle] + "é" + signed[middle + 1 :],
    }[change]

    verdict = house.ask_now(asking(document="~".join((changed, *rest)).encode()))

    assert verdict.verdict == "tampered"
    assert "pass" not in {check.result for check in verdict.checks}


# ── certificates that were damaged ───────────────────────────────────────────────────────────


def test_a_certificate_that_was_damaged_or_locked_is_still_tampered(house, licence):
    """Not readable as a PDF any more, or not at all: the seal on it is ours to ask about."""
    pdf = house.certificates.pdf(LI, licence.identifier)
    locked = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf)) as document:
        document.save(locked, encryption=pikepdf.Encryption(owner="o", user="u"))
    damaged = {
        "no header": b"X" + pdf[1:7].replace(b"PDF", b"PDX") + pdf[7:],
        "no end": pdf[:-6],
        "something after it": pdf + b"\n% more",
        "a page turned": pdf.replace(b"/Rotate 0", b"/Rotate 90", 1) + b" ",
    }
    for change, data in damaged.items():
        assert house.ask_now(asking(document=data)).verdict == "tampered", change
    assert house.ask_now(asking(document=locked.getvalue())).verdict in {
        "tampered",
        "not_a_certificate",  # when saving it anew took the seal off
    }
