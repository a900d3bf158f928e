"""The exchange's operations in the OpenAPI document: schemas derived from `messages`, refusals from
the error classes, examples."""

from typing import Any

from exchange.errors import (
    IdempotencyKeyReused,
    IncompleteVerification,
    NothingToFollow,
    OnlyPrograms,
    RequestInFlight,
    ShowCodeExpired,
    StatusChanging,
    UnusableAddress,
)
from exchange.messages import (
    BatchAnswer,
    BatchBody,
    FollowedAnswer,
    SubscriptionBody,
    VerdictAnswer,
    VerificationBody,
)
from foundation.errors import (
    Malformed,
    Refused,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from foundation.schemas import Schema, problems, taken, told

_PASSED = [
    ("integrity", "record_intact", "The registered record is exactly what was sealed."),
    ("seal", "seal_valid", "The seal was in force when it was used."),
    ("authority", "authority_confirmed", "The issuing authority owns the seal."),
    ("time", "time_confirmed", "The time of sealing is confirmed."),
    ("status", "active", "The certificate is in force."),
    ("validity", "within_validity", "Today lies within the period of validity."),
]
_EXAMPLE_ANSWER = {
    "verdict": "valid",
    "reason": "",
    "next_step": "",
    "checks": [
        {"name": name, "result": "pass", "code": code, "detail": detail}
        for name, code, detail in _PASSED
    ],
    "type": "food-business-licence",
    "type_names": {
        "zh-Hans": "食品经营许可证",
        "zh-Hant": "食品經營許可證",
        "en": "Food Business Licence",
    },
    "issuing_authority": "11320500MB0123456X",
    "authority_name": "苏州市市场监督管理局",
    "fields": {"operator_name": "苏州松鹤楼餐饮管理有限公司", "valid_until": "2031-03-01"},
    "predicates": {"valid_today": True},
    "purpose": "food-inspection",
    "legal_basis": "《中华人民共和国食品安全法》第一百一十条",
    "case_ref": "2026-检-0417",
    "checked_at": "2026-11-24T08:00:00Z",
    "entry_id": "019ab4f0-5c00-7abc-8def-0123456789ab",
    "receipt_id": "019ab4f0-5c00-7abc-8def-0123456789ab",
    "receipt": "eyJhbGciOiJFUzI1NiIsInR5cCI6InlpbnpoZW5nLXJlY2VpcHQrand0In0.e30.c2lnbmF0dXJl",
}
_WHY_EXAMPLE = {
    "purpose": "food-inspection",
    "legal_basis": "《中华人民共和国食品安全法》第一百一十条",
    "case_ref": "2026-检-0417",
}
_HEADERS = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": 255},
        "description": "the same key repeats the same answer for a day",
    }
]
_ASKED = (  # whatever a program asks about certificates
    Malformed,
    Unauthenticated,
    Refused,
    RequestInFlight,
    TooLarge,
    IncompleteVerification,
    IdempotencyKeyReused,
    TooManyRequests,
    Unavailable,
)


def _by_form(schema: Schema) -> Schema:
    """The same members as parts of a form: there a file is sent as it is."""
    file = {"type": "string", "format": "binary"}
    return {**schema, "properties": {**schema["properties"], "document": file}}


def _answered(description: str, answer: type, **example: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": told(answer), **example}}
    return {"description": description, "content": content}


VERIFY: dict[str, Any] = {
    "description": "Exactly one of `number`, `document` (base64) and `qr`, and the reason. "
    "A bad certificate is answered with 200 too: the verdict says so.",
    "parameters": _HEADERS,
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": taken(VerificationBody),
                "examples": {
                    "number": {"value": {"number": "JY23205060012345", **_WHY_EXAMPLE}},
                    "qr": {"value": {"qr": "https://registry.example/v/s3cr3t", **_WHY_EXAMPLE}},
                },
            },
            "multipart/form-data": {"schema": _by_form(taken(VerificationBody))},
        },
    },
    "responses": {
        "200": _answered("the verdict", VerdictAnswer, example=_EXAMPLE_ANSWER),
        **problems(*_ASKED, ShowCodeExpired),
    },
}

VERIFY_BATCH: dict[str, Any] = {
    "description": "Up to 100 numbers for one purpose and case. Each has its own verdict and its "
    "own entry for its holder; one receipt covers them all.",
    "parameters": _HEADERS,
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": taken(BatchBody),
                "example": {"numbers": ["JY23205060012345"], **_WHY_EXAMPLE},
            }
        },
    },
    "responses": {
        "200": _answered("the verdicts, in the order of the numbers", BatchAnswer),
        **problems(*_ASKED),
    },
}

SUBSCRIBE: dict[str, Any] = {
    "description": "Follow the certificate with this number for a purpose of your department. The "
    "verdict is its status at that moment; every change after it is told to `url`. Following again "
    "replaces what was said before.",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": taken(SubscriptionBody),
                "example": {
                    "number": "JY23205060012345",
                    "url": "https://inspection.example.gov.cn/notices",
                    **_WHY_EXAMPLE,
                },
            }
        },
    },
    "responses": {
        "201": _answered("What is followed, and its verdict", FollowedAnswer),
        **problems(
            *(Malformed, Unauthenticated, Refused, OnlyPrograms, NothingToFollow, StatusChanging),
            *(TooLarge, IncompleteVerification, UnusableAddress, TooManyRequests, Unavailable),
        ),
    },
}
