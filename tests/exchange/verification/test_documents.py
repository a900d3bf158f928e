"""Files and QR codes: what they say is compared with the register, word for word."""

import base64
import re
from datetime import timedelta

import pytest

from certificates.register import store as certificate_store
from certificates.rules import State
from exchange.errors import ShowCodeExpired, ShowCodeUnknown
from exchange.verification import documents
from foundation.actor import ANONYMOUS
from tests.exchange.conftest import BANKER, INSPECTOR, LI, PUBLIC_URL, asking


def results(verdict):
    return {check.name: (check.result, check.code) for check in verdict.checks}


@pytest.fixture
def pdf(house, licence) -> bytes:
    return house.certificates.pdf(LI, licence.identifier)


def rendition(house, certificate, form: str) -> bytes:
    with house.database.read() as tx:
        return certificate_store.rendition(tx, certificate.id, form)


def test_the_sealed_file_verifies(house, pdf):
    verdict = house.ask(asking(document=pdf))

    assert verdict.verdict == "valid"
    assert {check.result for check in verdict.checks} == {"pass"}


def test_the_file_of_a_revoked_licence_is_revoked(house, licence, pdf):
    house.change(licence, State.REVOKED, "serious_violation")

    verdict = house.ask(asking(document=pdf))

    assert verdict.verdict == "revoked"
    assert results(verdict)["integrity"][0] == "pass"


def test_one_flipped_byte_of_what_was_sealed_is_never_good(house, pdf):
    signature = re.search(rb"/Contents ?<", pdf)
    sealed = (*range(3, signature.start(), len(pdf) // 12), pdf.rindex(b">>>") + 6, len(pdf) - 3)

    for at in sealed:
        forged = bytearray(pdf)
        forged[at] ^= 1

        verdict = house.ask_now(asking(document=bytes(forged)))

        assert verdict.verdict == "tampered", at
        assert verdict.receipt


def test_something_added_after_the_seal_is_never_good(house, pdf):
    assert house.ask_now(asking(document=pdf + b"\n% more")).verdict == "tampered"


def test_a_file_that_is_no_certificate_is_not_good(house):
    for data in (b"hello", b"%PDF-1.7\n%%EOF", b"eyJ", b"eyJhbGciOiJub25lIn0.e30.~"):
        verdict = house.ask_now(asking(document=data))

        assert verdict.verdict == "not_a_certificate"
        assert verdict.fields == {}


def test_a_file_without_permission_says_nothing_about_it(house, pdf):
    verdict = house.ask_now(asking(document=pdf), BANKER)

    assert verdict.verdict == "not_permitted"
    assert {check.result for check in verdict.checks} == {"unknown"}


def test_the_credential_verifies_whole_and_in_part(house, licence):
    credential = rendition(house, licence, "dc+sd-jwt")
    signed, _first, *rest = credential.decode().split("~")

    assert house.ask_now(asking(document=credential)).verdict == "valid"
    part = "~".join((signed, *rest)).encode()
    assert house.ask_now(asking(document=part)).verdict == "valid"


def test_a_credential_with_a_claim_of_its_own_is_tampered(house, licence):
    credential = rendition(house, licence, "dc+sd-jwt").decode()
    claim = base64.urlsafe_b64encode(b'["salt","operator_name","Forged"]').rstrip(b"=").decode()

    for forged in (f"{credential}{claim}~", credential.replace(".", ".A", 1)):
        assert house.ask_now(asking(document=forged.encode())).verdict in {
            "tampered",
            "not_found",
        }


def test_the_offline_code_verifies(house, licence):
    text = rendition(house, licence, "cwt-qr").decode()

    verdict = house.ask(asking(qr_text=text))

    assert verdict.verdict == "valid"
    assert results(verdict)["integrity"] == ("pass", "code_intact")


def test_the_offline_code_of_a_revoked_licence_is_revoked(house, licence):
    text = rendition(house, licence, "cwt-qr").decode()
    house.change(licence, State.REVOKED, "serious_violation")

    assert house.ask(asking(qr_text=text)).verdict == "revoked"


def test_an_offline_code_that_ran_out_is_expired_and_not_forged(house, licence):
    text = rendition(house, licence, "cwt-qr").decode()
    house.clock.advance(timedelta(days=5 * 366))

    assert house.ask(asking(qr_text=text)).verdict == "expired"


def test_a_forged_offline_code_is_tampered(house, licence):
    text = rendition(house, licence, "cwt-qr").decode()

    for forged in (text[:-1], text[:-1] + ("A" if text[-1] != "A" else "B"), "YZ1:", "YZ1:ABC"):
        verdict = house.ask_now(asking(qr_text=forged))
        assert verdict.verdict == "tampered"
        assert results(verdict)["integrity"] == ("fail", "code_altered")


def test_the_printed_link_verifies(house, licence):
    for link in (f"{PUBLIC_URL}/v/{licence.qr_token}", f"/v/{licence.qr_token}"):
        assert house.ask(asking(qr_text=link)).verdict == "valid"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/v/{}",
        "https://yinzheng.test@evil.test/v/{}",
        "https://yinzheng.test.evil.test/v/{}",
        "http://yinzheng.test/v/{}",
        "//evil.test/v/{}",
        "https://yinzheng.test/v/{}?next=x",
        "https://yinzheng.test/w/{}",
        "https://yinzheng.test/v/x/{}",
        "https://[/v/{}",
    ],
)
def test_a_link_elsewhere_is_not_ours(house, licence, link):
    text = link.format(licence.qr_token)

    assert documents.token_of(text, PUBLIC_URL) == ""
    assert house.ask_now(asking(qr_text=text)).verdict == "not_found"


def test_the_holder_shows_a_licence_once(house, licence):
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)

    verdict = house.verifications.open(code.token, ANONYMOUS)

    assert verdict.verdict == "valid"
    assert verdict.purpose == "holder-show"
    assert "legal_representative" not in verdict.fields
    with pytest.raises(ShowCodeExpired) as refused:
        house.verifications.open(code.token, ANONYMOUS)
    assert refused.value.status == 410
    assert refused.value.next_step == "ask the holder to show it again"


def test_the_holder_sees_that_the_code_was_opened(house, licence):
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)
    house.verifications.open(code.token, INSPECTOR)

    seen = {entry.kind: entry for entry in house.ledger.about([licence.subject]).items}

    assert seen["exchange.verified"].organisation_name == "示例市食品安全局"
    assert seen["certificate.shown"].actor_kind == "person"


def test_a_show_code_lasts_a_minute(house, licence):
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)
    house.clock.advance(timedelta(seconds=61))

    with pytest.raises(ShowCodeExpired):
        house.verifications.open(code.token, ANONYMOUS)


def test_a_code_that_was_never_made_is_unknown(house):
    with pytest.raises(ShowCodeUnknown):
        house.verifications.open("show-AAAAAAAAAAAAAAAAAAAAAA", ANONYMOUS)


def test_a_department_uses_a_show_code_for_its_own_purpose(house, licence):
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)

    verdict = house.ask(asking(qr_text=f"{PUBLIC_URL}/v/{code.token}"))

    assert verdict.verdict == "valid"
    assert verdict.fields["legal_representative"]


def test_the_printed_code_opens_for_everybody_again_and_again(house, licence):
    for _ in range(2):
        verdict = house.verifications.open(licence.qr_token, ANONYMOUS)
        assert (verdict.verdict, verdict.purpose) == ("valid", "public-check")
