"""The digests that bind a certificate: which facts they cover, and how these are written down."""

from collections.abc import Iterable, Mapping
from datetime import date
from hashlib import sha256
from typing import Any, Final

import orjson

from foundation.canonical import b64url

RECORD_FACTS: Final = (
    "identifier",
    "number",
    "type",
    "type_version",
    "issuing_authority",
    "authority_name",
    "subject",
    "issued_on",
    "valid_from",
    "valid_until",
    "status_list",
    "status_index",
    "qr_token",
    "content_digest",
    "seal_id",
    "drafter",
    "approver",
)
"""The facts of a certificate's row that never change after issue, in no particular order."""


def digest_of_record(facts: Mapping[str, Any], fields: Mapping[str, str]) -> str:
    """Base64url SHA-256 over `RECORD_FACTS` and the fields."""
    return digest_over(RECORD_FACTS, facts, fields)


def digest_over(names: Iterable[str], facts: Mapping[str, Any], fields: Mapping[str, str]) -> str:
    """Base64url SHA-256 over the facts with these names, and the fields as `fields`."""
    plain = {name: _plain(facts[name]) for name in names}
    return digest_of_facts(plain | {"fields": dict(fields)})


def digest_of_facts(facts: Mapping[str, Any]) -> str:
    """Base64url SHA-256 of RFC 8785 JSON, for ASCII names and values of text, whole numbers, null:
    for these, sorted orjson output is canonical, and bulk issuing hashes two of them a certificate.
    """
    return b64url(sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).digest())


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
