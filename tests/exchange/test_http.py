"""The machine interface: what departments' systems send and get."""

import asyncio
import base64
from dataclasses import replace

import jsonschema
import orjson
import pytest

from exchange import openapi
from exchange.http import hot_routes
from exchange.messages import MAX_BATCH
from foundation.batching.routes import HotRequest
from foundation.errors import YinzhengError
from tests.exchange.conftest import BANKER, FOOD_BASIS, INSPECTOR, LI
from tests.exchange.departments import Bearers, Door, bearing, door

WHY = {"purpose": "food-inspection", "legal_basis": FOOD_BASIS, "case_ref": "2026-检-0417"}
NOBODY = replace(INSPECTOR, id="no-scope", roles=frozenset())
VERIFY = "/api/v1/verifications"


@pytest.fixture
def client(house) -> Door:
    return door(house.verifications, INSPECTOR, BANKER, NOBODY)


def test_a_bad_certificate_is_a_good_answer(client, house, licence):
    answer = client.post(VERIFY, json={"number": licence.number, **WHY}, headers=bearing(INSPECTOR))

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["verdict"] == "valid"
    assert body["type_names"]["en"] == "Food Business Licence"
    missing = client.post(VERIFY, json={"number": "JY-none", **WHY}, headers=bearing(INSPECTOR))
    assert (missing.status_code, missing.json()["verdict"]) == (200, "not_found")
    assert body.keys() == missing.json().keys()


@pytest.mark.parametrize("missing", ["purpose", "legal_basis", "case_ref"])
def test_a_missing_reason_is_a_problem_that_names_it(client, missing):
    body = {"number": "JY1", **WHY}
    del body[missing]

    answer = client.post(VERIFY, json=body, headers=bearing(INSPECTOR))

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "incomplete_verification"
    assert problem["errors"] == [
        {"pointer": f"/{missing}", "code": "required", "detail": f"{missing} is missing"}
    ]
    assert problem["next_step"]


def test_without_token_or_scope_nothing_is_answered(client):
    body = {"number": "JY1", **WHY}

    assert client.post(VERIFY, json=body).status_code == 401
    assert client.post(VERIFY, json=body, headers=bearing(NOBODY)).status_code == 403
    assert client.get("/api/v1/purposes").status_code == 401
    assert client.get("/api/v1/receipts/x", headers=bearing(NOBODY)).status_code == 403


def test_a_file_may_come_as_json_or_as_a_form(client, house, licence):
    pdf = house.certificates.pdf(LI, licence.identifier)

    as_json = client.post(
        VERIFY,
        json={"document": base64.b64encode(pdf).decode(), **WHY},
        headers=bearing(INSPECTOR),
    )
    as_form = client.post(
        VERIFY, data=WHY, files={"document": ("licence.pdf", pdf)}, headers=bearing(INSPECTOR)
    )

    assert as_json.json()["verdict"] == as_form.json()["verdict"] == "valid"


def test_a_receipt_can_be_fetched_with_its_proof(client, house, licence):
    asked = client.post(VERIFY, json={"number": licence.number, **WHY}, headers=bearing(INSPECTOR))
    house.ledger.integrate_all()
    path = f"/api/v1/receipts/{asked.json()['receipt_id']}"

    answer = client.get(path, params={"wait": "proof"}, headers=bearing(INSPECTOR))

    assert answer.status_code == 200
    assert answer.json()["entries"][0]["proof"]
    assert client.get(path, headers=bearing(BANKER)).status_code == 404


def test_waiting_for_a_proof_ends_when_there_is_none(client, licence):
    asked = client.post(VERIFY, json={"number": licence.number, **WHY}, headers=bearing(INSPECTOR))

    answer = client.get(
        f"/api/v1/receipts/{asked.json()['receipt_id']}?wait=proof", headers=bearing(INSPECTOR)
    )

    assert answer.json()["entries"][0]["proof"] is None


def test_a_batch_answers_in_the_order_of_the_numbers(client, licence):
    answer = client.post(
        f"{VERIFY}/batch",
        json={"numbers": [licence.number, "JY-none"], **WHY},
        headers=bearing(INSPECTOR),
    )

    assert answer.status_code == 200
    assert [item["verdict"] for item in answer.json()["items"]] == ["valid", "not_found"]


def test_a_batch_beyond_the_limit_is_refused(client):
    numbers = ["JY1"] * (MAX_BATCH + 1)

    answer = client.post(
        f"{VERIFY}/batch", json={"numbers": numbers, **WHY}, headers=bearing(INSPECTOR)
    )

    assert answer.status_code == 413


def test_purposes_are_listed_for_the_department(client):
    items = client.get("/api/v1/purposes", headers=bearing(INSPECTOR)).json()["items"]

    own = [item for item in items if not item["open_to_everyone"]]
    assert [item["code"] for item in own] == ["food-inspection"]
    assert own[0]["legal_bases"] == [FOOD_BASIS]
    assert own[0]["names"]["zh-Hans"] == "食品安全监督检查"


def test_the_same_idempotency_key_repeats_the_answer(client, house, licence):
    body = {"number": licence.number, **WHY}
    headers = bearing(INSPECTOR, **{"idempotency-key": "case-417-1"})

    first = client.post(VERIFY, json=body, headers=headers)
    again = client.post(VERIFY, json=body, headers=headers)

    assert first.content == again.content
    assert first.headers["idempotency-replayed"] == "false"
    assert again.headers["idempotency-replayed"] == "true"
    assert len(house.looks(licence)) == 1


def test_an_idempotency_key_belongs_to_one_body_and_one_client(client, house, licence):
    headers = {"idempotency-key": "1"}
    first = {"number": licence.number, **WHY}
    client.post(VERIFY, json=first, headers=bearing(INSPECTOR, **headers))

    other = client.post(
        VERIFY, json={"number": "JY-none", **WHY}, headers=bearing(INSPECTOR, **headers)
    )
    stranger = client.post(VERIFY, json=first, headers=bearing(BANKER, **headers))

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert stranger.json()["verdict"] == "not_permitted"


def test_a_failed_request_gives_its_key_back(client, licence):
    headers = bearing(INSPECTOR, **{"idempotency-key": "1"})
    assert client.post(VERIFY, json={"number": "x"}, headers=headers).status_code == 422

    answer = client.post(VERIFY, json={"number": licence.number, **WHY}, headers=headers)

    assert answer.status_code == 200


def test_two_requests_with_one_key_at_once_are_one_look(house, licence):
    route = hot_routes(house.verifications, Bearers(INSPECTOR))[0]
    headers = bearing(INSPECTOR, **{"idempotency-key": "k", "content-type": "application/json"})
    body = orjson.dumps({"number": licence.number, **WHY})

    async def ask() -> str:
        try:
            answer = await route.handler(HotRequest("POST", VERIFY, headers=headers, body=body))
        except YinzhengError as refused:
            return refused.code
        return str(orjson.loads(answer.body)["entry_id"])

    async def both() -> list[str]:
        return list(await asyncio.gather(ask(), ask(), ask()))

    answers = set(asyncio.run(both())) - {"request_in_flight"}

    assert len(answers) == 1
    assert len(house.looks(licence)) == 1


def test_the_documented_example_and_a_real_answer_fit_the_documented_schema(client, licence):
    documented = openapi.VERIFY["responses"]["200"]["content"]["application/json"]
    answer = client.post(VERIFY, json={"number": licence.number, **WHY}, headers=bearing(INSPECTOR))

    jsonschema.validate(documented["example"], documented["schema"])
    jsonschema.validate(answer.json(), documented["schema"])
    assert set(answer.json()) == set(documented["schema"]["properties"])


def test_every_operation_is_described(client):
    paths = client.get("/openapi.json").json()["paths"]

    for path in (VERIFY, f"{VERIFY}/batch", "/api/v1/receipts/{receipt_id}", "/api/v1/purposes"):
        for operation in paths[path].values():
            assert operation["operationId"]
            assert operation["summary"]
            assert operation.get("description")
