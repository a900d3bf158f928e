"""The decisions of a verification, pure: what is true of a certificate, and who may see what.

- Six checks, always all six, always in this order: integrity, seal, authority, time, status,
  validity. Each is pass, fail or unknown, with a reason code that never changes once published.
- One verdict follows from the six by a fixed order of precedence, so that page, API, CLI and
  receipt cannot disagree.
- A verdict that grants nothing (`not_found`, `not_permitted`) carries the same six checks, all
  unknown, and no fields: its shape tells a guesser nothing. `source_unavailable` shows no fields
  either; whoever may ask is told which check could not be decided.
- A file that we did not make (a letter, a photo, somebody else's signed document) is
  `not_a_certificate`, never `tampered`: nobody is called a forger for the wrong attachment.
- An asker sees the fields that the purpose *and* the catalogue allow, never one more.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from certificates import CertificateRecord, civil_date
from certificates.identifier import birth_date, is_resident_number
from exchange.models import CHECK_NAMES
from signing import Check

CLOCK_SKEW = timedelta(minutes=2)
ADULT_YEARS = 18


class Outcome(StrEnum):
    """The closed vocabulary of verdicts."""

    VALID = "valid"
    VALID_AS_OF = "valid_as_of"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    NOT_YET_VALID = "not_yet_valid"
    TAMPERED = "tampered"
    NOT_A_CERTIFICATE = "not_a_certificate"
    NOT_FOUND = "not_found"
    NOT_PERMITTED = "not_permitted"
    SOURCE_UNAVAILABLE = "source_unavailable"


GOOD = frozenset({Outcome.VALID, Outcome.VALID_AS_OF})
UNDECIDED = frozenset({Outcome.SOURCE_UNAVAILABLE})
# Unknown checks that leave everything open, whatever the others say; each decides alone.
UNDECIDABLE = frozenset({"status_contradicted", "time_in_future"})
# What somebody who guesses hears; not every time, though: see `Decision.is_miss`.
GUESSED = frozenset({Outcome.NOT_FOUND, Outcome.NOT_PERMITTED})
SILENT = frozenset({*GUESSED, *UNDECIDED, Outcome.NOT_A_CERTIFICATE})

# check -> reason code -> the sentence an officer reads. Codes are stable; sentences may improve.
REASONS: Mapping[str, Mapping[str, str]] = {
    "integrity": {
        "record_intact": "The registered record is exactly what was sealed.",
        "record_altered": "The registered record differs from what was sealed.",
        "document_intact": "The document is exactly what was sealed.",
        "document_altered": "The document was changed after it was sealed.",
        "no_document": "The file is not a certificate of ours.",
        "document_differs": "The document says something else than the register.",
        "code_intact": "The code is exactly what was signed.",
        "code_altered": "The code is not one we signed, or it was changed.",
    },
    "seal": {
        "seal_valid": "The seal was in force when it was used.",
        "seal_not_in_force": "The seal was not in force when it was used.",
        "seal_not_ours": "The seal on the document is not the registered one.",
        "seal_outside_period": "The time of sealing lies outside the seal's period.",
        "no_seal": "The document carries no seal.",
        "seal_unknown": "The seal could not be identified.",
    },
    "authority": {
        "authority_confirmed": "The issuing authority owns the seal.",
        "authority_differs": "The seal belongs to another authority.",
        "authority_unknown": "The issuing authority could not be confirmed.",
    },
    "time": {
        "time_confirmed": "The time of sealing is confirmed.",
        "time_in_future": "The time of sealing lies in the future: a clock is or was wrong.",
        "time_not_confirmed": "The time of sealing is claimed, not confirmed.",
    },
    "status": {
        "active": "The certificate is in force.",
        "suspended": "The certificate is suspended for now.",
        "revoked": "The certificate was revoked.",
        "withdrawn": "The decision to issue the certificate was withdrawn.",
        "cancelled": "The certificate was cancelled.",
        "superseded": "The certificate was replaced by a newer one.",
        "expired": "The certificate was marked as expired.",
        "status_unavailable": "The status could not be read.",
        "status_contradicted": "The register and the record of acts disagree about the status.",
    },
    "validity": {
        "within_validity": "Today lies within the period of validity.",
        "not_yet_valid": "The period of validity has not begun.",
        "expired": "The period of validity has ended.",
    },
}
NOT_CHECKED = "not_checked"
_NOT_CHECKED_SENTENCE = "This was not checked."

# verdict -> what the officer does next
NEXT_STEPS: Mapping[Outcome, str] = {
    Outcome.VALID: "",
    Outcome.VALID_AS_OF: "Check again when the source is back if the decision depends on today.",
    Outcome.EXPIRED: "Ask the holder for the renewed certificate.",
    Outcome.SUSPENDED: "Do not rely on it; ask the issuing authority until when.",
    Outcome.REVOKED: "Do not rely on it; the issuing authority can say why.",
    Outcome.WITHDRAWN: "Do not rely on it; the issuing authority can say why.",
    Outcome.CANCELLED: "Do not rely on it; ask the holder for another certificate.",
    Outcome.SUPERSEDED: "Ask the holder for the newer certificate.",
    Outcome.NOT_YET_VALID: "Check again when the period of validity has begun.",
    Outcome.TAMPERED: "Do not rely on it; keep the document and tell the issuing authority.",
    Outcome.NOT_A_CERTIFICATE: "Send the sealed file as it was issued, or the number on it.",
    Outcome.NOT_FOUND: "Check the number for typing errors, or ask the holder to show the QR code.",
    Outcome.NOT_PERMITTED: "See GET /api/v1/purposes for what your department may ask, and why.",
    Outcome.SOURCE_UNAVAILABLE: "Nothing was decided; ask again later, or the issuing authority.",
}


@dataclass(slots=True)
class RecordEvidence:
    """What speaks for one record. None means that it could not be established.

    `intact`: the record still says what its signed credential says. `witnessed`: its status is what
    the ledger's last act on it left. `seal_in_force` is about the instant of sealing, not about
    today; `seal_owner` is the department the seal belongs to.
    """

    intact: bool | None = None
    witnessed: bool = False
    seal_in_force: bool | None = None
    seal_owner: str | None = None


@dataclass(slots=True)
class Assessment:
    """One verdict and the six checks it follows from."""

    outcome: Outcome
    checks: tuple[Check, ...]


def _check(name: str, result: str, code: str) -> Check:
    sentence = REASONS.get(name, {}).get(code, _NOT_CHECKED_SENTENCE)
    return Check(name, result, code, sentence)  # type: ignore[arg-type]


# Every check there can be, made once: a verification only picks from here.
PASS: Mapping[str, Check] = {
    code: _check(name, "pass", code)
    for name, code in (
        ("integrity", "record_intact"),
        ("integrity", "document_intact"),
        ("integrity", "code_intact"),
        ("seal", "seal_valid"),
        ("authority", "authority_confirmed"),
        ("time", "time_confirmed"),
        ("status", "active"),
        ("validity", "within_validity"),
    )
}
FAIL: Mapping[tuple[str, str], Check] = {
    (name, code): _check(name, "fail", code)
    for name, codes in REASONS.items()
    for code in codes
    if code not in PASS
}
UNKNOWN: Mapping[tuple[str, str], Check] = {
    (name, code): _check(name, "unknown", code)
    for name, codes in REASONS.items()
    for code in (*codes, NOT_CHECKED)
}
NO_DOCUMENT = UNKNOWN["integrity", "no_document"]
NOTHING_CHECKED: tuple[Check, ...] = tuple(UNKNOWN[name, NOT_CHECKED] for name in CHECK_NAMES)


def silent(outcome: Outcome) -> Assessment:
    """A verdict that says nothing about any certificate: six unknown checks."""
    return Assessment(outcome, NOTHING_CHECKED)


def assess(
    record: CertificateRecord,
    at: datetime,
    evidence: RecordEvidence,
    document: Mapping[str, Check] | None = None,
) -> Assessment:
    """The six checks of one certificate at the instant `at` (aware UTC), and the verdict.

    `document` holds the checks made on a file or a code that was handed in (integrity, seal,
    authority, time); they replace the register's own. Status and validity always come from the
    register, and a time of sealing in the future is one wherever it was seen.
    """
    document = document or {}
    checks = (
        document.get("integrity") or _integrity(evidence),
        document.get("seal") or _seal(evidence),
        document.get("authority") or _authority(record, evidence),
        _time(record, at, document.get("time")),
        _status(record, evidence),
        _validity(record, at),
    )
    return Assessment(_outcome(checks), checks)


def _integrity(evidence: RecordEvidence) -> Check:
    if evidence.intact is None:
        return UNKNOWN["integrity", NOT_CHECKED]
    return PASS["record_intact"] if evidence.intact else FAIL["integrity", "record_altered"]


def _seal(evidence: RecordEvidence) -> Check:
    if evidence.seal_in_force is None:  # at a time of which nothing is known, or nothing at all
        code = "seal_unknown" if evidence.seal_owner is None else "seal_outside_period"
        return UNKNOWN["seal", code]
    return PASS["seal_valid"] if evidence.seal_in_force else FAIL["seal", "seal_not_in_force"]


def _authority(record: CertificateRecord, evidence: RecordEvidence) -> Check:
    if evidence.seal_owner is None:
        return UNKNOWN["authority", "authority_unknown"]
    if evidence.seal_owner == record.issuing_authority:
        return PASS["authority_confirmed"]
    return FAIL["authority", "authority_differs"]


def _time(record: CertificateRecord, at: datetime, document: Check | None) -> Check:
    """A time in the future is nobody's forgery: a clock is or was wrong, and which is not known."""
    if record.issued_at > at + CLOCK_SKEW:
        return UNKNOWN["time", "time_in_future"]
    return document or PASS["time_confirmed"]


def _status(record: CertificateRecord, evidence: RecordEvidence) -> Check:
    """A status that the ledger does not bear out is none, whatever it is."""
    if not evidence.witnessed:
        return UNKNOWN["status", "status_contradicted"]
    if record.state == "active":
        return PASS["active"]
    return FAIL.get(("status", str(record.state))) or UNKNOWN["status", "status_unavailable"]


def _validity(record: CertificateRecord, at: datetime) -> Check:
    """Dates count in the issuing authority's civil time; the last day is a valid day."""
    today = civil_date(at)
    if today < record.valid_from:
        return FAIL["validity", "not_yet_valid"]
    if record.valid_until is not None and today > record.valid_until:
        return FAIL["validity", "expired"]
    return PASS["within_validity"]


def _outcome(checks: tuple[Check, ...]) -> Outcome:
    """Precedence: not genuine, then taken out of force, then out of time, then not decidable.

    Where register and ledger contradict each other, or a clock is wrong, what the register says of
    today does not count; with a wrong clock, that it was taken out of force still does.
    """
    integrity, seal, authority, time, status, validity = checks
    genuine = (integrity, seal, authority, time)
    if any(check.result == "fail" for check in genuine):
        return Outcome.TAMPERED
    over = validity.result == "fail"
    if status.result == "fail" and not (over and status.code == "suspended"):
        return Outcome(status.code)
    if any(check.code in UNDECIDABLE for check in checks):
        return Outcome.SOURCE_UNAVAILABLE
    if over:
        return Outcome(validity.code)
    if any(check.result == "unknown" for check in (integrity, seal, authority, status)):
        return Outcome.SOURCE_UNAVAILABLE
    return Outcome.VALID


def disclose(allowed_by_type: Iterable[str], allowed_by_purpose: Iterable[str]) -> tuple[str, ...]:
    """The field names an asker may see: what the type's catalogue entry *and* the purpose allow."""
    by_type = frozenset(allowed_by_type)
    return tuple(name for name in allowed_by_purpose if name in by_type)


def select(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values behind `names`; a field the certificate does not have is left out."""
    return {name: fields[name] for name in names if name in fields}


Predicate = Callable[[Assessment, str, datetime], bool | None]


def _valid_today(assessment: Assessment, _holder_code: str, _at: datetime) -> bool:
    return assessment.outcome in GOOD


def _holder_is_adult(_assessment: Assessment, holder_code: str, at: datetime) -> bool | None:
    born = birth_date(holder_code) if is_resident_number(holder_code) else None
    if born is None:
        return None
    today = civil_date(at)
    birthday_to_come = (today.month, today.day) < (born.month, born.day)
    return today.year - born.year - birthday_to_come >= ADULT_YEARS


# Yes/no answers a purpose may ask for instead of a value ("of age" instead of the birth date).
PREDICATES: Mapping[str, Predicate] = {
    "valid_today": _valid_today,
    "holder_is_adult": _holder_is_adult,
}


def answer_predicates(
    names: Iterable[str], assessment: Assessment, holder_code: str, at: datetime
) -> dict[str, bool]:
    """The yes/no answers that can be given; one that cannot be established is left out."""
    answers = {name: PREDICATES[name](assessment, holder_code, at) for name in names}
    return {name: answer for name, answer in answers.items() if answer is not None}


def exit_code(outcome: str) -> int:
    """The CLI's exit code for a verdict: 0 good, 3 bad, 4 could not decide, 5 refused."""
    if outcome in GOOD:
        return 0
    if outcome in UNDECIDED:
        return 4
    return 5 if outcome == Outcome.NOT_PERMITTED else 3
