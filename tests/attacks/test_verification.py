"""Attacks on verification (33, 34, 47, 48): guessing, peeping, swapping, replaying, racing."""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import orjson
import pytest

from certificates.identifier import resident_check
from certificates.rules import State
from exchange import Verdict, VerificationRequest, verify_receipt
from exchange.errors import (
    CertificateNotHeld,
    IncompleteVerification,
    ReceiptNotFound,
    ShowCodeExpired,
)
from exchange.verification.requests import BatchRequest
from foundation.actor import ANONYMOUS
from foundation.canonical import b64url_decode
from ledger import Entry
from ledger import store as ledger_store
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
    hidden = f"x-{number[:17]}{number[17].lower()}"
    for changed in (
        {"case_ref": number},
        {"legal_basis": number},
        {"number": number},
        {"purpose": hidden},
    ):
        verdict = house.ask(asking(**{"number": "JY1", **changed}))
        file = house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)
        assert number not in file["entries"][0]["entry"]
        assert hidden not in file["entries"][0]["entry"]


STRANGERS_WORDS = "zhang-jianguo-of-guanqian-street-owes-me-money"
QUESTIONS = {
    "open purpose, unknown number": {"purpose": "public-check", "legal_basis": STRANGERS_WORDS},
    "basis nobody registered": {"legal_basis": STRANGERS_WORDS},
    "purpose nobody knows": {"purpose": STRANGERS_WORDS},
    "both": {"purpose": STRANGERS_WORDS, "legal_basis": STRANGERS_WORDS},
}


def made_up_like(number: str) -> str:
    return "JY" + "0" * (len(number) - 2)


def ways_to_ask(house, request: VerificationRequest) -> list[str]:
    """The receipts of one question by the fast lane, by its twin and in a batch."""
    numbers = (request.number, request.number)
    batch = BatchRequest(numbers, request.purpose, request.legal_basis, request.case_ref)
    return [
        house.ask(request).receipt_id,
        house.ask_now(request).receipt_id,
        asyncio.run(house.verifications.verify_batch(INSPECTOR, batch)).receipt_id,
    ]


@pytest.mark.parametrize("number", ["there", "not there"])
@pytest.mark.parametrize("changed", QUESTIONS.values(), ids=QUESTIONS)
def test_47_an_askers_own_words_never_stand_in_the_public_log(house, licence, changed, number):
    """Committed to instead: the asker's receipt opens them, and so does the holder's page."""
    number = licence.number if number == "there" else made_up_like(licence.number)
    request = asking(number, **changed)
    receipts = ways_to_ask(house, request)
    house.ledger.integrate_all()

    said = {f"private.{name}" for name, text in changed.items() if text == STRANGERS_WORDS}
    if request.purpose == "public-check" and number == licence.number:
        said = set()  # answered, on the basis of the purpose itself
    for receipt_id in receipts:
        file = house.verifications.receipt_file(receipt_id, INSPECTOR)
        verified = verify_receipt(orjson.dumps(file), house.root_pem(), house.ledger_keys())

        assert verified.in_log
        assert STRANGERS_WORDS not in str(verified.claims)
        for entry in verified.entries:
            assert STRANGERS_WORDS not in str(entry.facts)
            assert {n for n, text in entry.opened.items() if text == STRANGERS_WORDS} == said
    for access in house.looks(licence):
        assert access.purpose == request.purpose
        assert access.legal_basis == request.legal_basis or not said


def test_47_a_show_code_that_is_over_repeats_no_words_either(house, licence):
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)
    house.verifications.open(code.token, ANONYMOUS)

    for changed in QUESTIONS.values():
        with pytest.raises(ShowCodeExpired):
            house.ask_now(asking(qr_text=f"/v/{code.token}", **changed))

    house.ledger.integrate_all()
    with house.database.read() as tx:
        log = b"".join(leaf for _, _, leaf in ledger_store.leaves(tx, 0, 1_000))
    assert STRANGERS_WORDS.encode() not in log


def test_47_words_that_we_registered_stay_readable_for_everybody(house, licence):
    """Whoever watches the log sees which department asks for which purpose, also in vain."""
    for number in (licence.number, made_up_like(licence.number)):
        verdict = house.ask(asking(number))
        leaf = json.loads(
            house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)["entries"][0]["entry"]
        )
        assert (leaf["purpose"], leaf["legal_basis"]) == ("food-inspection", asking().legal_basis)
    refused = house.ask(asking(licence.number), BANKER)  # a purpose that others hold
    leaf = json.loads(
        house.verifications.receipt_file(refused.receipt_id, BANKER)["entries"][0]["entry"]
    )
    assert leaf["purpose"] == "food-inspection"


def test_47_the_name_that_a_program_chose_is_not_in_the_public_log(house, licence):
    program = replace(INSPECTOR, id="dyn-1", name=STRANGERS_WORDS, named_itself=True)
    verdict = house.ask(asking(licence.number), program)
    house.ledger.integrate_all()

    file = house.verifications.receipt_file(verdict.receipt_id, program)
    verified = verify_receipt(orjson.dumps(file), house.root_pem(), house.ledger_keys())

    [entry] = verified.entries
    assert STRANGERS_WORDS not in str([verified.claims, entry.facts])
    assert verified.claims["asker"]["id"] == "dyn-1", "which program it was, everybody may read"
    assert entry.opened["actor_name"] == STRANGERS_WORDS
    assert house.looks(licence)[0].actor_name == STRANGERS_WORDS


def test_a_receipt_given_before_words_were_committed_to_still_verifies(house, licence):
    """The old form: free text in clear in the leaf, and therefore in the receipt."""
    program = replace(INSPECTOR, name=STRANGERS_WORDS)
    with house.database.write() as tx:
        old = house.ledger.append(
            tx,
            Entry(
                kind="exchange.verified",
                actor=program,
                at=house.clock(),
                subject=licence.subject,
                certificate=licence.identifier,
                purpose="a-purpose-of-my-own",
                legal_basis=STRANGERS_WORDS,
                case_ref="7",
                verdict="not_permitted",
                details={"checks": "unknown:not_checked"},
                private={"asked": f"number:{licence.number}"},
            ),
        )
    house.ledger.integrate_all()

    file = house.verifications.receipt_file(old.id, program)

    verified = verify_receipt(orjson.dumps(file), house.root_pem(), house.ledger_keys())
    assert verified.in_log
    assert verified.claims["legal_basis"] == STRANGERS_WORDS
    assert house.looks(licence)[0].legal_basis == STRANGERS_WORDS
