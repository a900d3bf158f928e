"""A receipt file proves what it says without us, and nothing else after it was touched."""

import copy
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.rules import State
from exchange import verify_receipt
from exchange.errors import ReceiptInvalid, ReceiptNotFound
from exchange.receipts.writing import KEY_USE, TYP
from exchange.verification.requests import BatchRequest
from foundation.actor import ANONYMOUS
from foundation.canonical import b64url, b64url_decode
from keys.policy import SigningAuthorization
from ledger import VerifierKey
from ledger.notes import ED25519
from tests.exchange.conftest import BANKER, INSPECTOR, LI, asking

OUR_CLOCK = {"verify_iat": False}  # the house's clock is moved by hand


@pytest.fixture
def file(house, licence) -> dict[str, Any]:
    verdict = house.ask(asking(licence.number))
    house.ledger.integrate_all()
    return house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)


@pytest.fixture
def batch_file(house, licence, run) -> dict[str, Any]:
    house.clock.advance(timedelta(seconds=1))
    why = asking()
    numbers = (licence.number, "JY-none", licence.identifier)
    batch = BatchRequest(numbers, why.purpose, why.legal_basis, why.case_ref)
    answer = run(house.verifications.verify_batch(INSPECTOR, batch))
    house.ledger.integrate_all()
    return house.verifications.receipt_file(answer.receipt_id, INSPECTOR)


@pytest.fixture
def check(house):
    def check(file: Any):
        return verify_receipt(file, house.root_pem(), house.ledger_keys())

    return check


def refusal(check, file: Any) -> str:
    with pytest.raises(ReceiptInvalid) as refused:
        check(file)
    assert refused.value.status == 422
    return refused.value.code


def test_a_receipt_verifies_offline(file, check, licence):
    verified = check(orjson.dumps(file))

    assert verified.in_log
    assert verified.claims["verdict"] == "valid"
    entry = verified.entries[0]
    shown = json.loads(entry.opened["private.shown"])
    assert shown["operator_name"] == licence.fields["operator_name"]
    assert shown["valid_today"] is True
    assert entry.opened["private.asked"] == f"number:{licence.number}"
    assert entry.opened["case_ref"] == "2026-检-0417"
    assert "subject" not in entry.opened


def test_a_batch_receipt_verifies_offline(batch_file, check):
    verified = check(orjson.dumps(batch_file))

    assert verified.in_log
    assert verified.claims["items"]["verdicts"] == {"valid": 2, "not_found": 1}
    assert [entry.facts["verdict"] for entry in verified.entries] == ["valid", "not_found", "valid"]


def test_each_item_of_a_batch_has_its_own_receipt_too(house, batch_file, check):
    entry_id = json.loads(batch_file["entries"][0]["entry"])["id"]

    single = house.verifications.receipt_file(entry_id, INSPECTOR)

    assert check(single).claims["verdict"] == "valid"


def test_the_receipt_in_the_answer_says_what_the_file_says(house, licence):
    verdict = house.ask(asking(licence.number))
    file = house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)

    payloads = [receipt.split(".")[1] for receipt in (verdict.receipt, file["receipt"])]

    assert payloads[0] == payloads[1]


def test_an_outside_library_verifies_the_receipt(house, file):
    leaf = x509.load_pem_x509_certificate(file["certificates"][0].encode())

    claims = jwt.decode(file["receipt"], leaf.public_key(), algorithms=["ES256"], options=OUR_CLOCK)

    assert jwt.get_unverified_header(file["receipt"])["typ"] == TYP
    assert claims["asker"]["organisation"] == INSPECTOR.organisation


def test_without_a_proof_a_receipt_is_genuine_but_not_yet_in_the_log(house, licence, check):
    verdict = house.ask(asking(licence.number))

    verified = check(house.verifications.receipt_file(verdict.receipt_id, INSPECTOR))

    assert not verified.in_log


def test_openings_may_be_left_out(file, check):
    file["entries"][0]["openings"].pop("private.shown")

    opened = check(file).entries[0].opened

    assert "private.shown" not in opened
    assert opened["case_ref"] == "2026-检-0417"


def test_a_receipt_verifies_after_its_key_was_rotated(house, file, check):
    house.keys.rotate(KEY_USE, at_once=True)
    house.clock.advance(timedelta(days=30))
    receipt_id = json.loads(file["entries"][0]["entry"])["id"]

    again = house.verifications.receipt_file(receipt_id, INSPECTOR)

    assert check(file).in_log
    assert check(again).in_log


def test_erasing_the_holder_leaves_the_proof_and_takes_the_values(house, licence, check):
    verdict = house.ask(asking(licence.number))
    house.ledger.integrate_all()
    with house.database.write() as tx:
        house.ledger.erase(tx, licence.subject)

    file = house.verifications.receipt_file(verdict.receipt_id, INSPECTOR)

    verified = check(file)
    assert verified.in_log
    assert verified.claims["verdict"] == "valid"
    assert not verified.entries[0].opened


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every leaf of a JSON value."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from places(member, (*path, name))
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield from places(member, (*path, at))
    else:
        yield path


def changed(file: dict[str, Any], path: tuple[Any, ...], change) -> dict[str, Any]:
    forged = copy.deepcopy(file)
    holder = forged
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = change(holder[path[-1]])
    return forged


def test_every_value_of_the_file_counts(file, check):
    """Change one character in the middle of each value: no file verifies afterwards."""
    ignored = {"ledger_keys"}  # a hint for people; only keys the checker brings count
    for path in places(file):
        if path[0] in ignored:
            continue

        def swap(value: str) -> str:
            middle = len(value) // 2
            return value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]

        assert refusal(check, changed(file, path, swap)).startswith("receipt_"), path


def test_every_fact_of_the_entry_counts(file, check):
    leaf = json.loads(file["entries"][0]["entry"])
    for path in places(leaf):
        forged = changed(leaf, path, lambda value: f"{value}x" if isinstance(value, str) else 9)
        text = orjson.dumps(forged, option=orjson.OPT_SORT_KEYS).decode()
        altered = changed(file, ("entries", 0, "entry"), lambda _old, text=text: text)

        assert refusal(check, altered) == "receipt_entry_differs", path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verdict", "revoked"),
        ("purpose", "loan-application"),
        ("legal_basis", "none"),
        ("asker", {"kind": "client", "id": "bank-system"}),
        ("disclosed", []),
        ("details", {"checks": ""}),
        ("commitments", {}),
        ("iat", 0),
        ("jti", "another"),
    ],
)
def test_even_we_cannot_sign_what_the_entry_does_not_say(house, file, check, name, value):
    claims = jwt.decode(file["receipt"], options={"verify_signature": False})
    forged = house.keys.jws(KEY_USE, {**claims, name: value}, typ=TYP)

    assert refusal(check, {**file, "receipt": forged}) == "receipt_contradicts_entry"


def test_a_batch_receipt_names_all_its_entries_in_order(batch_file, check):
    entries = batch_file["entries"]
    for wrong in (entries[:2], entries[::-1], [*entries, entries[0]]):
        assert refusal(check, {**batch_file, "entries": wrong}) == "receipt_entry_differs"


def test_a_single_receipt_does_not_vouch_for_a_second_entry(file, batch_file, check):
    both = [*file["entries"], *batch_file["entries"]]

    assert refusal(check, {**file, "entries": both}) == "receipt_entry_differs"


def test_another_key_of_ours_does_not_sign_receipts(house, file, check):
    claims = jwt.decode(file["receipt"], options={"verify_signature": False})
    house.keys.ensure("idp.tokens")
    forged = house.keys.jws("idp.tokens", claims, typ=TYP)
    assert refusal(check, {**file, "receipt": forged}) == "receipt_signature_invalid"

    seal, now = house.seals.all()[0], house.clock()
    order = SigningAuthorization("d", "a", "wang", "li", now, actor="li", signed_at=now)
    chain = [x509.load_der_x509_certificate(der) for der in house.keys.chain(seal.use)]
    pems = [each.public_bytes(Encoding.PEM).decode() for each in chain]
    sealed = {
        **file,
        "receipt": house.keys.jws(seal.use, claims, typ=TYP, order=order),
        "certificates": pems,
    }
    assert refusal(check, sealed) == "receipt_key_untrusted"


def test_another_kind_of_token_is_not_a_receipt(house, file, check):
    claims = jwt.decode(file["receipt"], options={"verify_signature": False})
    token = house.keys.jws(KEY_USE, claims, typ="at+jwt")

    assert refusal(check, {**file, "receipt": token}) == "receipt_signature_invalid"


def test_another_root_is_not_ours(house, file, stranger):
    root, keys = stranger

    assert refusal(lambda f: verify_receipt(f, root, house.ledger_keys()), file) == (
        "receipt_key_untrusted"
    )
    assert refusal(lambda f: verify_receipt(f, house.root_pem(), keys), file) == (
        "receipt_proof_invalid"
    )


def test_no_opening_moves_the_boundary_between_salt_and_value(file, check):
    """The salt eats the beginning of the value, or gives its own end to it: the hash is the same,
    what the receipt would say is not."""
    for name, opening in file["entries"][0]["openings"].items():
        salt, value = b64url_decode(opening["salt"]), opening["value"].encode()
        for moved in (1, len(value) // 2, len(value)):
            try:
                rest = value[moved:].decode()
            except UnicodeDecodeError:  # in the middle of a character
                continue
            eaten = {"salt": b64url(salt + value[:moved]), "value": rest}
            forged = changed(file, ("entries", 0, "openings", name), lambda _, eaten=eaten: eaten)

            assert refusal(check, forged) == "receipt_file_malformed", (name, moved)
        for salt_of_another_length in (b"", salt[:-1], salt + b"\0"):
            other = {"salt": b64url(salt_of_another_length), "value": opening["value"]}
            forged = changed(file, ("entries", 0, "openings", name), lambda _, other=other: other)

            assert refusal(check, forged) == "receipt_file_malformed", name


@pytest.fixture
def stranger(house) -> tuple[str, list[str]]:
    """The root and the ledger key of somebody else, under our names."""
    key = ec.generate_private_key(ec.SECP256R1())
    ours = x509.load_pem_x509_certificate(house.root_pem().encode())
    root = (
        x509.CertificateBuilder()
        .subject_name(ours.subject)
        .issuer_name(ours.subject)
        .public_key(key.public_key())
        .serial_number(ours.serial_number)
        .not_valid_before(ours.not_valid_before_utc)
        .not_valid_after(ours.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    log_key = VerifierKey(house.ledger.origin, ED25519, public)
    return root.public_bytes(Encoding.PEM).decode(), [str(log_key)]


def test_the_trust_anchor_itself_signs_no_receipts(file, check):
    assert refusal(check, {**file, "certificates": file["certificates"][-1:]}) == (
        "receipt_key_untrusted"
    )
    assert refusal(check, {**file, "certificates": []}) == "receipt_key_untrusted"


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format":"yinzheng-receipt-file/1","format":"x"}',
        {"format": "yinzheng-receipt-file/1"},
        {
            "format": "yinzheng-receipt-file/1",
            "receipt": "",
            "entries": [],
            "certificates": [],
            "ledger_keys": [],
        },
        {
            "format": "yinzheng-receipt-file/1",
            "receipt": 7,
            "entries": [{"entry": "{}", "openings": {}, "proof": None}],
            "certificates": [],
            "ledger_keys": [],
        },
        {
            "format": "yinzheng-receipt-file/1",
            "receipt": "",
            "entries": [{"entry": "\ud800", "openings": {}, "proof": None}],
            "certificates": [],
            "ledger_keys": [],
        },
        {
            "format": "yinzheng-receipt-file/1",
            "receipt": "",
            "entries": [{"entry": "{}", "openings": [], "proof": None}],
            "certificates": [],
            "ledger_keys": [],
        },
    ],
)
def test_what_is_no_receipt_file_is_malformed(house, file):
    code = refusal(lambda f: verify_receipt(f, house.root_pem(), house.ledger_keys()), file)

    assert code == "receipt_file_malformed"


def test_only_the_department_that_asked_finds_its_receipt(house, licence):
    verdict = house.ask(asking(licence.number))

    for stranger in (BANKER, LI, ANONYMOUS, house.holder(licence)):
        with pytest.raises(ReceiptNotFound):
            house.verifications.receipt_file(verdict.receipt_id, stranger)


def test_a_ledger_entry_that_is_no_answer_has_no_receipt(house, licence):
    house.change(licence, State.REVOKED, "serious_violation")
    for access in house.ledger.history(licence.identifier):
        with pytest.raises(ReceiptNotFound):
            house.verifications.receipt_file(access.entry_id, LI)


def test_a_receipt_of_a_silent_answer_opens_nothing_about_the_certificate(house, licence):
    verdict = house.ask(asking(licence.number), BANKER)

    file = house.verifications.receipt_file(verdict.receipt_id, BANKER)

    openings = file["entries"][0]["openings"]
    assert "certificate" not in openings
    assert licence.identifier not in str(openings)
