"""Descriptions that are derived from types and error classes."""

import json
from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta, Struct

from foundation.batching.routes import problem
from foundation.errors import Conflict, FieldError, Gone, Invalid
from foundation.schemas import Problem, described, needed, problems, taken, told


class Inner(TypedDict):
    at: Annotated[str, described(format="date-time")]


class Answer(TypedDict):
    """Words for our own reading."""

    kind: Annotated[str, Meta(description="what it is")]
    inner: list[Inner]
    more: NotRequired[int]


class Body(Struct, forbid_unknown_fields=True):
    number: Annotated[str, needed("which one")] = ""
    note: str = ""


def test_an_answer_is_told_without_references_and_with_what_is_always_there():
    schema = told(Answer)

    assert sorted(schema.pop("required")) == ["inner", "kind"]
    assert schema == {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "description": "what it is"},
            "inner": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"at": {"type": "string", "format": "date-time"}},
                    "required": ["at"],
                },
            },
            "more": {"type": "integer"},
        },
    }


def test_a_body_says_itself_what_it_needs():
    assert taken(Body) == {
        "type": "object",
        "properties": {
            "number": {"type": "string", "description": "which one"},
            "note": {"type": "string"},
        },
        "required": ["number"],
        "additionalProperties": False,
    }


def test_refusals_stand_under_the_status_of_their_class_with_its_code_and_its_words():
    responses = problems(Conflict, Gone, Invalid)

    assert list(responses) == ["409", "410", "422"]
    assert responses["410"]["description"] == "gone: It existed, and its time is over"
    content = responses["409"]["content"]["application/problem+json"]
    assert content["schema"]["properties"]["code"]["enum"] == ["conflict"]


def test_a_problem_is_told_as_it_is_answered():
    refused = Invalid("wrong", errors=[FieldError("/number", "number", "not a number")])
    schema = told(Problem)

    answered = json.loads(problem(refused).body)

    assert answered.keys() == set(schema["properties"]) == set(schema["required"])
    [wrong] = answered["errors"]
    assert wrong.keys() == set(schema["properties"]["errors"]["items"]["properties"])
