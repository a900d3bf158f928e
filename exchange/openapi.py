"""Examples and schemas of the exchange's operations, for the OpenAPI document."""

from typing import Any

_CHECK = {
    "type": "object",
    "required": ["name", "result", "code", "detail"],
    "properties": {
        "name": {
            "type": "string",
            "enum": ["integrity", "seal", "authority", "time", "status", "validity"],
        },
        "result": {"type": "string", "enum": ["pass", "fail", "unknown"]},
        "code": {"type": "string", "description": "stable for ever; programs may match on it"},
        "detail": {"type": "string"},
    },
}
_VERDICTS = [
    "valid",
    "valid_as_of",
    "expired",
    "suspended",
    "revoked",
    "withdrawn",
    "cancelled",
    "superseded",
    "not_yet_valid",
    "tampered",
    "not_a_certificate",
    "not_found",
    "not_permitted",
    "source_unavailable",
]
_TEXT = {"type": "string"}
_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["verdict", "checks", "fields", "checked_at", "entry_id", "receipt_id"],
    "properties": {
        "verdict": {"type": "string", "enum": _VERDICTS},
        "reason": {"type": "string", "description": "the code of the check that decided"},
        "next_step": _TEXT,
        "checks": {"type": "array", "items": _CHECK, "minItems": 6, "maxItems": 6},
        "type": _TEXT,
        "type_names": {"type": "object", "additionalProperties": _TEXT},
        "issuing_authority": _TEXT,
        "authority_name": _TEXT,
        "fields": {"type": "object", "additionalProperties": _TEXT},
        "predicates": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "purpose": _TEXT,
        "legal_basis": _TEXT,
        "case_ref": _TEXT,
        "checked_at": {"type": "string", "format": "date-time"},
        "entry_id": _TEXT,
        "receipt_id": _TEXT,
        "receipt": {"type": "string", "description": "compact JWS, typ yinzheng-receipt+jwt"},
    },
}
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
_WHY = {
    "purpose": {"type": "string", "description": "a code of GET /api/v1/purposes"},
    "legal_basis": {"type": "string", "description": "one the purpose is registered with"},
    "case_ref": {"type": "string", "description": "your case number; the holder sees it"},
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


VERIFY: dict[str, Any] = {
    "description": "Exactly one of `number`, `document` (base64) and `qr`, and the reason. "
    "A bad certificate is answered with 200 too: the verdict says so.",
    "parameters": _HEADERS,
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["purpose", "legal_basis", "case_ref"],
                    "properties": {
                        "number": {"type": "string", "maxLength": 128},
                        "document": {"type": "string", "format": "byte"},
                        "qr": {"type": "string", "maxLength": 4096},
                        **_WHY,
                    },
                    "additionalProperties": False,
                },
                "examples": {
                    "number": {"value": {"number": "JY23205060012345", **_WHY_EXAMPLE}},
                    "qr": {"value": {"qr": "https://registry.example/v/s3cr3t", **_WHY_EXAMPLE}},
                },
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"document": {"type": "string", "format": "binary"}, **_WHY},
                }
            },
        },
    },
    "responses": {
        "200": {
            "description": "the verdict",
            "content": {"application/json": {"schema": _ANSWER, "example": _EXAMPLE_ANSWER}},
        },
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
                "schema": {
                    "type": "object",
                    "required": ["numbers", "purpose", "legal_basis", "case_ref"],
                    "properties": {
                        "numbers": {
                            "type": "array",
                            "items": {"type": "string", "maxLength": 128},
                            "minItems": 1,
                            "maxItems": 100,
                        },
                        **_WHY,
                    },
                    "additionalProperties": False,
                },
                "example": {"numbers": ["JY23205060012345"], **_WHY_EXAMPLE},
            }
        },
    },
    "responses": {
        "200": {
            "description": "the verdicts, in the order of the numbers",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["items", "receipt_id", "receipt", "checked_at"],
                        "properties": {
                            "items": {"type": "array", "items": _ANSWER},
                            "receipt_id": _TEXT,
                            "receipt": _TEXT,
                            "checked_at": {"type": "string", "format": "date-time"},
                        },
                    }
                }
            },
        },
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
                "schema": {
                    "type": "object",
                    "required": ["number", "url", "purpose", "legal_basis", "case_ref"],
                    "properties": {
                        "number": {"type": "string", "maxLength": 128},
                        "url": {"type": "string", "format": "uri"},
                        **_WHY,
                    },
                    "additionalProperties": False,
                },
                "example": {
                    "number": "JY23205060012345",
                    "url": "https://inspection.example.gov.cn/notices",
                    **_WHY_EXAMPLE,
                },
            }
        },
    },
    "responses": {
        "201": {
            "description": "What is followed, and its verdict",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["id", "url", "expires_at", "verdict"],
                        "properties": {
                            "id": _TEXT,
                            "url": _TEXT,
                            "expires_at": _TEXT,
                            "verdict": _ANSWER,
                        },
                    }
                }
            },
        }
    },
}
