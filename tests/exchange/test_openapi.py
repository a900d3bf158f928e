"""What the API description says of the exchange is what its message types say."""

from typing import get_type_hints

import pytest

from exchange import openapi
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
    verdict = openapi.told(VerdictAnswer)["properties"]
    check = verdict["checks"]["items"]["properties"]

    assert verdict["verdict"]["enum"] == [str(each) for each in Outcome]
    assert set(check["name"]["enum"]) == set(CHECK_NAMES)
    assert set(check["result"]["enum"]) == {"pass", "fail", "unknown"}
    assert verdict["checks"]["minItems"] == verdict["checks"]["maxItems"] == len(CHECK_NAMES)
