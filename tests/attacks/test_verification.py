"""Attacks on verification (33, 34, 47, 48): guessing, peeping, swapping, replaying, racing."""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from certificates.identifier import resident_check
from certificates.rules import State
from exchange import Verdict
from exchange.errors import (
    CertificateNotHeld,
    IncompleteVerification,
    ReceiptNotFound,
    ShowCodeExpired,
)
from exchange.requests import BatchRequest
from foundation.actor import ANONYMOUS
from foundation.canonical import b64url_decode
from foundation.errors import YinzhengError
from tests.exchange.conftest import (
    BANKER,
    INSPECTOR,
    LI,
    WANG,
    asking,
    house,
    licence,
    renderer,
    types,
)

__all__ = ["house", "licence", "renderer", "types"]  # fixtures of the exchange's own tests

OF_THE_MOMENT = {"entry_id", "receipt_id", "receipt"}


def shape(value: Any) -> Any:
    """What a value looks like when its words cannot be read: members, kinds and lengths."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [shape(member) for member in value]
    return (type(value).__name__, len(value) if isinstance(value, str) else 0)


def words(verdict: Verdict) -> dict[str, Any]:
    names = set(type(verdict).__dataclass_fields__) - OF_THE_MOMENT
    return {name: getattr(verdict, name) for name in names}


def test_33_numbers_cannot_be_guessed_by_the_answer(house, licence):
    """Without a purpose of its own, a department hears the same about real and made-up numbers."""
    real = house.ask(asking(licence.number), BANKER)
    made_up = house.ask(asking("JY" + "0" * (len(licence.number) - 2)), BANKER)

    assert words(real) == words(made_up)
    receipts = [json.loads(b64url_decode(each.receipt.split(".")[1])) for each in (real, made_up)]
    assert shape(receipts[0]) == shape(receipts[1])


def test_33_numbers_cannot_be_guessed_by_the_receipt_or_the_public_log(house, licence):
    verdicts = [
        house.ask(asking(number), BANKER)
        for number in (licence.number, "JY" + "0" * (len(licence.number) - 2))
    ]
    house.ledger.integrate_all()

    files = [house.verifications.receipt_file(each.receipt_id, BANKER) for each in verdicts]

    leaves = [json.loads(file["entries"][0]["entry"]) for file in files]
    assert shape(leaves[0]) == shape(leaves[1])
    openings = [file["entries"][0]["openings"] for file in files]
    assert shape(openings[0]) == shape(openings[1])


def test_33_a_file_and_a_code_cannot_be_used_to_guess_either(house, licence):
    for asked in (
        asking(qr_text=f"/v/{licence.qr_token}"),
        asking(qr_text="/v/" + "A" * len(licence.qr_token)),
    ):
        assert house.ask_now(asked, BANKER).reason == "purpose_not_held"


def test_34_a_department_cannot_read_the_receipts_of_another(house, licence):
    single = house.ask(asking(licence.number))
    why = asking()
    batch = BatchRequest((licence.number,), why.purpose, why.legal_basis, why.case_ref)
    together = asyncio.run(house.verifications.verify_batch(INSPECTOR, batch))

    for receipt_id in (
        single.receipt_id,
        single.entry_id.upper(),
        together.receipt_id,
        together.items[0].entry_id,
        "../" + single.receipt_id,
        single.receipt_id + "%00",
        "",
        "' OR 1=1 --",
    ):
        with pytest.raises(ReceiptNotFound) as refused:
            house.verifications.receipt_file(receipt_id, BANKER)
        assert refused.value.status == 404
        assert refused.value.detail == "there is no such receipt of your department"


def test_34_nobody_without_a_department_finds_a_receipt(house, licence):
    verdict = house.ask_now(asking(licence.number, purpose="public-check"), ANONYMOUS)

    for stranger in (ANONYMOUS, BANKER, house.holder(licence)):
        with pytest.raises(ReceiptNotFound):
            house.verifications.receipt_file(verdict.receipt_id, stranger)


def test_34_the_purposes_of_another_department_are_not_listed(house):
    codes = {each.code for each in house.purposes.of(BANKER.organisation)}

    assert codes == {"loan-application", "public-check", "holder-show"}


def test_34_only_the_holder_can_show_a_certificate(house, licence):
    for stranger in (ANONYMOUS, BANKER, INSPECTOR, WANG, LI):
        with pytest.raises(CertificateNotHeld) as refused:
            house.verifications.create_show_code(stranger, licence.identifier)
        assert refused.value.status == 404
        with pytest.raises(CertificateNotHeld):
            house.verifications.withdraw_show_codes(stranger, licence.identifier)


def test_48_a_purpose_cannot_be_swapped_for_a_richer_one(house, licence):
    """The bank holds loan-application: naming food-inspection instead buys nothing."""
    loan = house.catalogue["food-business-licence"].purposes["loan-application"]

    for asked in (
        asking(licence.number, legal_basis=loan.legal_basis),
        asking(licence.number, purpose="loan-application"),
        asking(licence.number, purpose="market-supervision"),
        asking(licence.number, purpose="Food-Inspection".lower()),
    ):
        verdict = house.ask(asked, BANKER)
        assert verdict.verdict == "not_permitted"
        assert verdict.fields == {}
    assert [each.verdict for each in house.looks(licence)] == ["not_permitted"] * 4


def test_48_everyones_purposes_cannot_be_widened_by_a_department(house, licence):
    verdict = house.ask(asking(licence.number, purpose="public-check"), BANKER)

    assert "legal_representative" not in verdict.fields


def test_48_a_show_code_opens_once_even_for_two_at_once(house, licence):
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)
    gate = threading.Barrier(6)

    def open_it(_: int) -> str:
        gate.wait()
        try:
            return house.verifications.open(code.token, ANONYMOUS).verdict
        except ShowCodeExpired as refused:
            return refused.code

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(open_it, range(6)))

    assert sorted(outcomes) == ["show_code_expired"] * 5 + ["valid"]


def test_48_a_replayed_show_code_is_seen_by_the_holder(house, licence):
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)
    house.verifications.open(code.token, INSPECTOR)

    with pytest.raises(ShowCodeExpired):
        house.verifications.open(code.token, BANKER)

    replay = next(each for each in house.looks(licence) if each.verdict == "not_permitted")
    assert replay.organisation == BANKER.organisation
    assert replay.details["reason"] == "show_code_expired"
    assert replay.disclosed == ()


def test_a_show_code_is_nothing_a_thief_of_the_database_can_use(house, licence):
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)

    with house.database.read() as tx:
        rows = tx.exec_driver_sql("SELECT * FROM show_codes").all()

    assert code.token not in str(rows)


def test_after_a_revocation_is_acknowledged_nobody_hears_valid(house, licence):
    """Askers keep asking while it is revoked; whoever began after the act was done hears it."""
    revoked = threading.Event()
    late: list[str] = []
    early: list[str] = []

    def ask_on(ask: Callable[[], Verdict]) -> None:
        for _ in range(25):
            known = revoked.is_set()
            (late if known else early).append(ask().verdict)
        while not revoked.is_set():
            early.append(ask().verdict)
        late.append(ask().verdict)

    with ThreadPoolExecutor(4) as threads:
        asked = [
            threads.submit(ask_on, lambda: house.ask_now(asking(licence.number))) for _ in range(2)
        ]
        asked.append(threads.submit(_ask_on_one_loop, house, licence, revoked, late, early))
        house.change(licence, State.REVOKED, "serious_violation")
        revoked.set()
        for each in asked:
            each.result()

    assert set(late) == {"revoked"}
    assert set(early) <= {"valid", "revoked"}


def _ask_on_one_loop(house, licence, revoked, late, early) -> None:
    """The fast lane: many questions share a read, none of them an old one."""

    async def ask() -> None:
        known = revoked.is_set()
        verdict = await house.verifications.verify(INSPECTOR, asking(licence.number))
        (late if known else early).append(verdict.verdict)

    async def wave() -> None:
        for _ in range(10):
            await asyncio.gather(*(ask() for _ in range(8)))
        while not revoked.is_set():
            await ask()
        await ask()

    asyncio.run(wave())


@pytest.mark.parametrize(
    "number",
    [
        "' OR '1'='1",
        "1.2.156.3005.2' --",
        "JY%",
        "JY________________",
        "*",
        "\\",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "../../etc/passwd",
    ],
)
def test_a_number_is_a_value_and_never_a_pattern(house, licence, number):
    assert house.ask(asking(number)).verdict == "not_found"


@pytest.mark.parametrize("place", ["number", "legal_basis", "case_ref", "qr_text"])
def test_47_no_line_can_be_forged_in_a_log(house, place):
    with pytest.raises(IncompleteVerification):
        house.ask_now(asking(**{"number": "JY1", place: "x\r\nGET /admin"}))


def test_a_resident_number_never_reaches_the_public_log(house):
    """Not even as purpose, basis or case of a question that is refused."""
    number = "110101199003070011"
    number = number[:17] + resident_check(number[:17])
    for changed in ({"case_ref": number}, {"legal_basis": number}, {"number": number}):
        verdict = house.ask(asking(**{"number": "JY1", **changed}))
        file = house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)
        assert number not in file["entries"][0]["entry"]
    with pytest.raises(YinzhengError):  # a purpose is public, so one that hides a number is refused
        house.ask(asking("JY1", purpose=f"x-{number[:17]}{number[17].lower()}"))
