"""The exchange's operations in the OpenAPI document: schemas derived from `messages`, examples."""

from typing import Any

import msgspec

from exchange.messages import (
    BatchAnswer,
    BatchBody,
    FollowedAnswer,
    SubscriptionBody,
    VerdictAnswer,
    VerificationBody,
)

Schema = dict[str, Any]


def taken(body: type) -> Schema:
    """The schema of a body that arrives: what it needs says so itself."""
    schema = _inlined(body)
    schema["required"] = [
        name for name, member in schema["properties"].items() if member.pop("required", False)
    ]
    return schema


def told(answer: type) -> Schema:
    """The schema of an answer: every member is always there."""
    return _inlined(answer, complete=True)


def _inlined(message: type, *, complete: bool = False) -> Schema:
    """JSON Schema without references, titles, defaults, and words that are for our own reading."""
    [root], known = msgspec.json.schema_components([message], ref_template="{name}")

    def unfold(found: Any) -> Any:
        if isinstance(found, list):
            return [unfold(each) for each in found]
        if not isinstance(found, dict):
            return found
        if "$ref" in found:
            return of_members(known[found["$ref"]])
        if "enum" in found:
            return {"type": "string", **found}
        return {name: unfold(value) for name, value in found.items() if name != "default"}

    def of_members(found: Schema) -> Schema:
        schema = {k: v for k, v in found.items() if k not in ("title", "description", "properties")}
        members = {name: unfold(member) for name, member in found["properties"].items()}
        if complete:
            schema["required"] = list(members)
        return {**schema, "properties": members}

    return of_members(known[root["$ref"]])


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
_PROBLEM = {"application/problem+json": {"schema": {"type": "object"}}}


def _problems(*codes: str) -> dict[str, Any]:
    words = {
        "400": "the bytes cannot be read",
        "401": "no valid access token",
        "403": "the access token lacks the scope certificates.verify",
        "409": "the first request with this Idempotency-Key is still running",
        "410": "the show code was opened before, or its minute is over",
        "413": "too many bytes or too many items",
        "422": "something is missing: see `errors`, each with its pointer",
        "429": "too many questions found nothing: wait `Retry-After` seconds",
        "503": "not now: ask again, with the same Idempotency-Key if there was one",
    }
    return {code: {"description": words[code], "content": _PROBLEM} for code in codes}


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
        **_problems("400", "401", "403", "409", "410", "413", "422", "429", "503"),
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
        **_problems("400", "401", "403", "409", "413", "422", "429", "503"),
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
    "responses": {"201": _answered("What is followed, and its verdict", FollowedAnswer)},
}
