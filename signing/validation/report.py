"""A validation as machines read it: the same members for every outcome.

`indication` is our word (valid, invalid, unknown); `etsi` is that of EN 319 102-1. Each check says
its stable code and what it means in three languages; each signature says how much of the file it
covers and what followed it, so that an incremental update is explained and not only counted.
"""

from datetime import datetime
from typing import Any

from signing.models import Check, SignatureFacts, Validation
from signing.validation.reasons import etsi, reason_for


def to_json(validation: Validation) -> dict[str, Any]:
    """The report; personal values inside the document are not part of it."""
    indication, sub_indication = etsi(validation)
    seal = validation.seal
    return {
        "indication": validation.indication,
        "etsi": {"indication": indication, "sub_indication": sub_indication},
        "format": validation.format,
        "level": validation.level,
        "digest": validation.digest,
        "checks": [_check(check) for check in validation.checks],
        "signer": validation.signer,
        "signed_at": _instant(validation.signed_at),
        "seal": None
        if seal is None
        else {
            "id": seal.seal_id,
            "name": seal.name,
            "owner": seal.owner,
            "owner_name": seal.owner_name,
            "state_then": seal.state,
        },
        "covers_whole_file": validation.covers_whole_file,
        "signatures": [_signature(one) for one in validation.details],
    }


def to_lines(validation: Validation) -> list[str]:
    """The same for a terminal."""
    indication, sub_indication = etsi(validation)
    lines = [f"{validation.indication.upper()}  {indication} {sub_indication}".rstrip()]
    if validation.signer:
        signed_at = _instant(validation.signed_at) or "undated"
        lines.append(f"signed by {_visible(validation.signer)}, {signed_at}")
    if validation.level:
        lines.append(f"level {validation.level}")
    return lines + [
        f"{check.result:8} {check.name:10} {reason_for(check.code).en}"
        for check in validation.checks
    ]


def _visible(name: str) -> str:
    """A name in one line: it stands in a certificate that anybody may have made."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "result": check.result,
        "code": check.code,
        "detail": check.detail,
        "text": reason_for(check.code).text,
    }


def _signature(one: SignatureFacts) -> dict[str, Any]:
    return {
        "signer": one.signer,
        "signed_at": _instant(one.signed_at),
        "time_proved": one.time_proved,
        "coverage": one.coverage,
        "changes_after": one.changes,
    }


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
