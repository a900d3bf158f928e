"""What was decided under an Idempotency-Key is there at once, whatever happened after it."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from certificates.rules import State
from exchange import Verifications, verify_receipt
from exchange.http import hot_routes
from exchange.models import answered_requests, batch_receipts
from exchange.verification.requests import read_batch
from foundation.batching.routes import HotRequest
from foundation.database import try_advisory_lock
from foundation.errors import YinzhengError
from keys import Keys
from keys.errors import KeyStoreUnavailable
from ledger import Ledger
from server.services import assemble
from tests.exchange.conftest import FOOD_BASIS, FOOD_INSPECTION, INSPECTOR, PUBLIC_URL
from tests.exchange.crash import FallibleStore, fine
from tests.exchange.departments import Bearers, bearing, door
from tests.simulators.commits import counted_commits

VERIFY = "/api/v1/verifications"
BATCH = "/api/v1/verifications/batch"
WHY = {"purpose": FOOD_INSPECTION, "legal_basis": FOOD_BASIS, "case_ref": "2026-检-0417"}


@pytest.fixture
def store(master_key) -> FallibleStore:
    return FallibleStore(master_key, fine)


@pytest.fixture
def keys(database, clock, store) -> Keys:
    """Keys of a store that can fall silent."""
    return Keys(database, store, clock)


def silence() -> None:
    raise KeyStoreUnavailable("the key service does not answer", retry_after=1)


def post(verifications: Verifications, path: str, body: dict, key: str = "crash"):
    headers = bearing(INSPECTOR, **{"idempotency-key": key})
    content = orjson.dumps(body)
    return door(verifications, INSPECTOR).post(path, content=content, headers=headers)


def shapes(house, licence) -> dict[str, tuple[str, dict, int]]:
    """Ways to ask: where, what, and how many entries that makes."""
    code = house.verifications.create_show_code(house.holder(licence), licence.identifier)
    return {
        "number": (VERIFY, {"number": licence.number, **WHY}, 1),
        "credential": (VERIFY, {"qr": f"/v/{licence.qr_token}", **WHY}, 1),
        "show code": (VERIFY, {"qr": f"/v/{code.token}", **WHY}, 1),
        "batch": (BATCH, {"numbers": [licence.number, licence.identifier], **WHY}, 2),
    }


SHAPES = ("number", "credential", "show code", "batch")


def verdicts(answer) -> list[str]:
    body = answer.json()
    return [each["verdict"] for each in body.get("items", [body])]


def check_receipt(house, answer) -> None:
    """The receipt in the answer is one of the entry, and its file proves it."""
    house.ledger.integrate_all()
    body = answer.json()
    file = house.verifications.receipt_file(body["receipt_id"], INSPECTOR)
    root, keys = house.root_pem(), house.ledger_keys()
    assert verify_receipt({**file, "receipt": body["receipt"]}, root, keys).in_log


@pytest.mark.parametrize("shape", SHAPES)
def test_a_silent_key_service_costs_no_second_look(house, licence, store, shape):
    path, body, entries = shapes(house, licence)[shape]
    store.fault = silence
    refused = [post(house.verifications, path, body) for _ in range(3)]
    assert [answer.status_code for answer in refused] == [503] * 3
    assert len(house.looks(licence)) == entries

    store.fault = fine
    answer, again = post(house.verifications, path, body), post(house.verifications, path, body)

    assert answer.status_code == 200
    assert verdicts(answer) == ["valid"] * entries
    assert answer.headers["idempotency-replayed"] == "true"
    assert again.content == answer.content
    assert len(house.looks(licence)) == entries
    check_receipt(house, answer)


def ask_and_die(house, master_key, clock, path: str, body: dict, when: str) -> None:
    """Another process asks, and is killed before it answers (`tests/exchange/crash.py`)."""
    house.verifications.anchors()  # the receipts' key is there
    program = "from tests.exchange.crash import main; main()"
    arguments = [house.database.url, master_key.hex(), clock().isoformat(), path]
    died = subprocess.run(
        [sys.executable, "-c", program, *arguments, orjson.dumps(body).decode(), when],
        check=False,
        capture_output=True,
        timeout=120,
    )
    assert died.returncode == -9, died.stderr.decode()


@pytest.mark.parametrize("shape", ["number", "batch"])
def test_a_process_killed_before_the_commit_left_nothing_and_the_key_is_free(
    house, licence, master_key, clock, shape
):
    path, body, entries = shapes(house, licence)[shape]
    ask_and_die(house, master_key, clock, path, body, "signing")
    assert house.looks(licence) == []

    answer, again = post(house.verifications, path, body), post(house.verifications, path, body)

    assert answer.headers["idempotency-replayed"] == "false"
    assert again.content == answer.content
    assert len(house.looks(licence)) == entries
    check_receipt(house, answer)


@pytest.mark.parametrize("shape", ["number", "batch"])
def test_an_answer_and_what_is_kept_of_it_are_one_commit(house, licence, shape):
    path, body, _ = shapes(house, licence)[shape]
    house.verifications.anchors()
    post(house.verifications, path, body, "warm")

    with counted_commits(house.database) as commits:
        answer = post(house.verifications, path, body)
        assert len(commits) == 1
        again = post(house.verifications, path, body)
        post(house.verifications, path, body, "another")

    assert len(commits) == 2
    assert again.content == answer.content


@pytest.mark.parametrize("shape", SHAPES)
def test_a_process_killed_after_the_commit_left_its_decision(
    house, licence, master_key, clock, shape
):
    path, body, entries = shapes(house, licence)[shape]
    ask_and_die(house, master_key, clock, path, body, "committed")
    before = house.looks(licence)
    assert len(before) == entries

    answer, again = (
        post(house.verifications, path, body),
        post(house.verifications, path, body),
    )  # at once

    assert answer.status_code == 200, answer.text
    assert verdicts(answer) == ["valid"] * entries
    items = answer.json().get("items", [answer.json()])
    assert {each["entry_id"] for each in items} == {each.entry_id for each in before}
    assert again.content == answer.content
    assert house.looks(licence) == before
    check_receipt(house, answer)


def test_what_is_repeated_is_what_was_decided_not_what_is_so_now(house, licence, store):
    body = {"number": licence.number, **WHY}
    store.fault = silence
    post(house.verifications, VERIFY, body)
    house.change(licence, State.REVOKED, "serious_violation")
    store.fault = fine

    assert post(house.verifications, VERIFY, body).json()["verdict"] == "valid"
    assert post(house.verifications, VERIFY, body, "another").json()["verdict"] == "revoked"


def test_a_refusal_on_record_is_repeated_and_not_recorded_twice(house, licence):
    path, body, _ = shapes(house, licence)["show code"]
    post(house.verifications, path, body, "first")

    refused = [post(house.verifications, path, body, "second") for _ in range(3)]

    assert [answer.json()["code"] for answer in refused] == ["show_code_expired"] * 3
    assert sorted(each.verdict for each in house.looks(licence)) == ["not_permitted", "valid"]


def another(house) -> Verifications:
    """What a second process on the same database would have."""
    ledger = Ledger(house.database, house.keys, house.clock, house.ledger.origin)
    return assemble(
        database=house.database,
        keys=house.keys,
        clock=house.clock,
        issuer=PUBLIC_URL,
        ledger=ledger,
        catalogue=house.catalogue,
        certificates=house.certificates,
    ).verifications


@pytest.mark.parametrize("shape", SHAPES)
def test_processes_that_are_asked_with_one_key_at_once_make_one_look(house, licence, shape):
    path, body, entries = shapes(house, licence)[shape]
    gate = threading.Barrier(4)

    def ask(verifications: Verifications):
        gate.wait()
        return post(verifications, path, body)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, [another(house) for _ in range(4)]))

    refused = {answer.json()["code"] for answer in answers if answer.status_code != 200}
    good = {orjson.dumps(verdicts(answer)) for answer in answers if answer.status_code == 200}
    assert refused <= {"request_in_flight"}
    assert good == {orjson.dumps(["valid"] * entries)}
    assert len(house.looks(licence)) == entries
    assert post(house.verifications, path, body).headers["idempotency-replayed"] == "true"
    with house.database.read() as tx:
        assert len(tx.execute(batch_receipts.select()).all()) == (path == BATCH)


def test_whoever_asks_at_once_in_one_process_hears_the_same_without_waiting(house, licence):
    route = hot_routes(house.verifications, Bearers(INSPECTOR))[0]
    headers = bearing(INSPECTOR, **{"idempotency-key": "k", "content-type": "application/json"})
    body = orjson.dumps({"number": licence.number, **WHY})

    async def ask() -> str:
        answer = await route.handler(HotRequest("POST", VERIFY, headers=headers, body=body))
        return str(orjson.loads(answer.body)["entry_id"])

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(ask() for _ in range(20)))

    assert len(set(asyncio.run(all_at_once()))) == 1
    assert len(house.looks(licence)) == 1


def test_a_neighbour_in_the_same_commit_does_not_suffer(house, licence):
    """Of many with the same key one commits; those with their own keys all do."""
    route = hot_routes(house.verifications, Bearers(INSPECTOR))[0]
    body = orjson.dumps({"number": licence.number, **WHY})

    async def ask(key: str) -> str:
        headers = bearing(INSPECTOR, **{"idempotency-key": key, "content-type": "application/json"})
        answer = await route.handler(HotRequest("POST", VERIFY, headers=headers, body=body))
        return str(orjson.loads(answer.body)["entry_id"])

    async def play() -> list[str]:
        keys = [key for number in range(10) for key in ("same", f"own-{number}")]
        return await asyncio.gather(*(ask(key) for key in keys))

    answers = asyncio.run(play())

    assert len(set(answers)) == 11
    assert len(house.looks(licence)) == 11


@pytest.mark.postgres
def test_a_process_that_stands_still_holds_up_nobody_elses_commit(house, licence):
    """It stopped in the middle of its transaction, with the key in its hand."""
    if house.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer by nature")
    with house.database.write() as tx:
        assert try_advisory_lock(tx, f"exchange.answered/{INSPECTOR.id}/crash")
        held = post(house.verifications, VERIFY, {"number": licence.number, **WHY})
        other = post(house.verifications, VERIFY, {"number": licence.number, **WHY}, "another")

    assert (held.status_code, held.json()["code"]) == (409, "request_in_flight")
    assert other.status_code == 200
    assert post(house.verifications, VERIFY, {"number": licence.number, **WHY}).status_code == 200


def test_what_is_kept_is_a_secret_of_the_house(house, licence, store):
    store.fault = silence
    post(house.verifications, VERIFY, {"number": licence.number, **WHY})

    with house.database.read() as tx:
        stored = str(tx.exec_driver_sql("SELECT * FROM answered_requests").one())
        kept = tx.execute(answered_requests.select()).one()

    assert licence.fields["legal_representative"] not in stored
    assert orjson.loads(kept.answer)["receipt"] == ""


def test_a_batch_has_its_receipt_from_the_moment_it_has_entries(house, licence, store):
    store.fault = silence
    batch = read_batch(orjson.dumps({"numbers": [licence.number], **WHY}))
    with pytest.raises(YinzhengError):
        asyncio.run(house.verifications.verify_batch(INSPECTOR, batch))
    store.fault = fine

    [look] = house.looks(licence)
    file = house.verifications.receipt_file(look.details["batch"], INSPECTOR)

    assert len(file["entries"]) == 1
