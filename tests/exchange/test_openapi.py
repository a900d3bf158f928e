"""What the API description says of the exchange is what its message types and refusals say."""

import ast
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from exchange import errors, openapi
from exchange.messages import (
    BatchAnswer,
    BatchBody,
    FollowedAnswer,
    SubscriptionBody,
    VerdictAnswer,
    VerificationBody,
)
from exchange.models import CHECK_NAMES
from exchange.rules import Outcome
from foundation import errors as common
from foundation.errors import YinzhengError
from foundation.schemas import told

BODIES = {
    VerificationBody: openapi.VERIFY,
    BatchBody: openapi.VERIFY_BATCH,
    SubscriptionBody: openapi.SUBSCRIBE,
}
ANSWERS = {
    VerdictAnswer: openapi.VERIFY["responses"]["200"],
    BatchAnswer: openapi.VERIFY_BATCH["responses"]["200"],
    FollowedAnswer: openapi.SUBSCRIBE["responses"]["201"],
}


@pytest.mark.parametrize("body", BODIES)
def test_a_described_body_has_the_members_that_are_read(body):
    schema = BODIES[body]["requestBody"]["content"]["application/json"]["schema"]

    assert set(schema["properties"]) == set(body.__struct_fields__)
    assert schema["additionalProperties"] is False
    assert {"purpose", "legal_basis", "case_ref"} <= set(schema["required"])


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_described_answer_has_all_its_members(answer):
    schema = ANSWERS[answer]["content"]["application/json"]["schema"]

    assert set(schema["properties"]) == set(get_type_hints(answer)) == set(schema["required"])


def test_a_file_is_sent_as_it_is_in_a_form():
    content = openapi.VERIFY["requestBody"]["content"]
    form, body = (
        content[each]["schema"]["properties"]
        for each in ("multipart/form-data", "application/json")
    )

    assert form.keys() == body.keys()
    assert (form["document"]["format"], body["document"]["format"]) == ("binary", "byte")


def test_the_vocabulary_of_verdicts_and_checks_is_the_rules_own():
    verdict = told(VerdictAnswer)["properties"]
    check = verdict["checks"]["items"]["properties"]

    assert verdict["verdict"]["enum"] == [str(each) for each in Outcome]
    assert set(check["name"]["enum"]) == set(CHECK_NAMES)
    assert set(check["result"]["enum"]) == {"pass", "fail", "unknown"}
    assert verdict["checks"]["minItems"] == verdict["checks"]["maxItems"] == len(CHECK_NAMES)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────

EXCHANGE = Path(__file__).parents[2] / "exchange"
ASKING = ("verification/requests.py", "verification/idempotency.py", "verification/quota.py")
FOLLOWING = {"read_subscription", "subscribe", "_usable", "_follow"}


def raised_in(*files: str, within: frozenset[str] = frozenset()) -> set[str]:
    """The codes of refusals that these files make, or only some of their functions."""
    kinds = {**vars(common), **vars(errors)}
    found = [
        kinds.get(node.func.id)
        for file in files
        for function in ast.walk(ast.parse((EXCHANGE / file).read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and (not within or function.name in within)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    return {
        each.code for each in found if isinstance(each, type) and issubclass(each, YinzhengError)
    }


def refusals_of(operation: dict[str, Any]) -> dict[str, list[str]]:
    """The codes that are told, by status."""
    return {
        status: content["application/problem+json"]["schema"]["properties"]["code"]["enum"]
        for status, response in operation["responses"].items()
        if "application/problem+json" in (content := response["content"])
    }


@pytest.mark.parametrize("operation", [openapi.VERIFY, openapi.VERIFY_BATCH])
def test_what_a_question_is_refused_for_is_told(operation):
    told_ = {code for codes in refusals_of(operation).values() for code in codes}
    raised = raised_in(*ASKING)

    assert {"idempotency_key_reused", "request_in_flight", "too_many_requests"} <= raised <= told_


def test_what_a_subscription_is_refused_for_is_told():
    told_ = {code for codes in refusals_of(openapi.SUBSCRIBE).values() for code in codes}
    raised = raised_in("subscriptions/service.py", within=frozenset(FOLLOWING))

    assert {"only_programs", "unusable_address", "status_changing"} <= raised <= told_


def test_a_refusal_is_told_with_the_status_of_its_class():
    told_ = refusals_of(openapi.VERIFY)

    assert told_["409"] == ["request_in_flight"]
    assert told_["410"] == ["show_code_expired"]
    assert told_["422"] == ["incomplete_verification", "idempotency_key_reused"]
    assert "the first request with" in openapi.VERIFY["responses"]["409"]["description"].lower()
