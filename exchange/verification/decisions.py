"""From facts to an answer, pure: may they ask, what is true, what is shown, what is kept.

`answer` is the whole of it: checked questions, what the database said to them, a moment. However
somebody asks (by number, many at once, with a file, by a code), what is decided is decided here.

The order is the order of the law, and it never depends on whether a certificate exists until the
asker has shown a purpose and a basis of its own:

1. the department holds the purpose, for some type                else not_permitted
2. the legal basis is one the purpose was registered with         else not_permitted
3. there is such a certificate                                    else not_found, and of files
   tampered when one of ours was altered, not_a_certificate when it never was one
4. the purpose covers certificates of this type, on this basis    else not_permitted
5. six checks, one verdict                                        `rules.assess`
6. the fields and yes/no answers that purpose and catalogue allow; none when nothing was decided

Whatever the outcome, there is one ledger entry of the same form. When nothing may be said, the
entry commits to random words in place of a certificate and a holder that are not there, so that
even the public log does not tell an unknown number from a forbidden one.

In clear it repeats only words of ours: a purpose that the catalogue knows, a legal basis registered
for it. An asker's own words are committed to, and opened for the asker and the holder: nobody has
read them before they would stand in a public log for ever.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from certificates import CertificateRecord
from exchange import rules
from exchange.models import OPEN_PURPOSES, Purpose, Verdict, VerificationRequest
from exchange.rules import Assessment, Outcome, RecordEvidence
from exchange.verification.requests import asked_text
from foundation.actor import Actor
from ledger import Entry, EntryRef
from signing import Check
from signing.formats import CREDENTIALS, CredentialReading

KIND = "exchange.verified"
NUMBER, IDENTIFIER, TOKEN = "number", "identifier", "token"  # what is asked by

# What is looked up for a question: organisation, purpose, by what, and the number or token.
Key = tuple[str, str, str, str]
Visible = Callable[[Purpose], tuple[str, ...]]


@dataclass(slots=True)
class Facts:
    """What the database said to one question at one moment. `purpose_known`: to the catalogue."""

    grants: Mapping[str, Purpose]
    record: CertificateRecord | None
    evidence: RecordEvidence
    purpose_known: bool = False


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What a file or a code says of itself, before the register is asked.

    `identifier` is what it claims to be; `said` what the credential says that it is or carries,
    `seal_id` the seal it bears. `checks` are those made on the file itself. Of what is not `ours`
    nothing is believed and nothing is looked up.
    """

    checks: Mapping[str, Check]
    identifier: str = ""
    said: CredentialReading | None = None
    seal_id: str = ""
    ours: bool = True


class CheckedQuestion(NamedTuple):
    """One question that is whole and well-formed: what is asked, and what to look it up by.

    `handed_in` is what a file or a code says of itself. With `code_over` it came with a show code
    that is good no more: the holder's consent is over, and nothing may be said.
    """

    request: VerificationRequest
    key: Key
    handed_in: HandedIn | None = None
    code_over: bool = False


@dataclass(slots=True)
class Decision:
    """Everything about an answer but the ledger entry's name.

    `purpose_known` and `basis_registered`: whether these are words of ours, or the asker's own.
    `of_form`: refused before it mattered what the register holds, and so in the same words for
    every number.
    """

    assessment: Assessment
    reason: str
    record: CertificateRecord | None
    fields: Mapping[str, Any]
    predicates: Mapping[str, bool]
    legal_basis: str
    basis_registered: bool
    purpose_known: bool
    of_form: bool = False

    @property
    def is_miss(self) -> bool:
        """Whether it tells a guesser something about the register
        (`exchange/verification/quota.py`)."""
        return self.assessment.outcome in rules.GUESSED and not self.of_form


NOTHING_FOUND: Final = Facts({}, None, RecordEvidence())


def answer(
    questions: Sequence[CheckedQuestion],
    facts: Mapping[Key, Facts],
    now: datetime,
    *,
    visible: Visible,
) -> list[Decision]:
    """The decisions on questions, in order. `facts` are those the database has, by `key`."""
    return [
        _answer(question, facts.get(question.key, NOTHING_FOUND), now, visible)
        for question in questions
    ]


def _answer(question: CheckedQuestion, found: Facts, now: datetime, visible: Visible) -> Decision:
    if not question.code_over:
        return decide(question.request, found, now, visible=visible, handed_in=question.handed_in)
    decision = decide(question.request, replace(found, grants={}), now, visible=visible)
    return replace(decision, reason="show_code_expired", of_form=False)


def decide(
    request: VerificationRequest,
    found: Facts,
    at: datetime,
    *,
    visible: Visible,
    handed_in: HandedIn | None = None,
) -> Decision:
    """The answer to one question. `visible` says what the catalogue shows a purpose today."""
    if not found.grants:  # 1
        return _refusal(request, found, "purpose_not_held", of_form=True)
    open_purpose = request.purpose in OPEN_PURPOSES
    if not _is_registered(request, found) and not open_purpose:  # 2
        return _refusal(request, found, "legal_basis_not_registered", of_form=True)
    record = found.record
    if record is None:  # 3
        return _not_found(request, found, handed_in)
    purpose = found.grants.get(record.type)
    if purpose is None:  # 4
        return _refusal(request, found, "purpose_not_for_this_type")
    basis = purpose.legal_bases[0] if open_purpose else request.legal_basis
    if basis not in purpose.legal_bases:
        return _refusal(request, found, "legal_basis_not_registered")
    checks = _against_register(handed_in, record, found.evidence) if handed_in else None
    assessment = rules.assess(record, at, found.evidence, checks)  # 5
    fields, predicates = {}, {}
    if assessment.outcome not in rules.SILENT:  # 6
        names = rules.disclose(visible(purpose), purpose.fields)
        fields = rules.select(record.fields, names)
        predicates = _predicates(purpose, assessment, record, at)
    return Decision(
        assessment,
        _deciding(assessment),
        record,
        fields,
        predicates,
        basis,
        basis_registered=True,
        purpose_known=found.purpose_known,
    )


def entry_of(
    request: VerificationRequest,
    decision: Decision,
    actor: Actor,
    at: datetime,
    batch: str = "",
) -> Entry:
    """What the ledger keeps of an answer, given or refused."""
    record = decision.record
    details = {"checks": " ".join(_short(check) for check in decision.assessment.checks)}
    private = {"asked": asked_text(request)}
    purpose, legal_basis = request.purpose, decision.legal_basis
    if not decision.purpose_known:
        private["purpose"], purpose = purpose, ""
    if legal_basis and not decision.basis_registered:
        private["legal_basis"], legal_basis = legal_basis, ""
    if decision.reason:
        details["reason"] = decision.reason
    if batch:
        details["batch"] = batch
    if decision.fields or decision.predicates:
        shown = {**decision.fields, **decision.predicates}
        private["shown"] = orjson.dumps(shown, option=orjson.OPT_SORT_KEYS).decode()
    return Entry(
        kind=KIND,
        actor=actor,
        at=at,
        subject=record.subject if record else secrets.token_hex(32),
        certificate=record.identifier if record else secrets.token_hex(32),
        purpose=purpose,
        legal_basis=legal_basis,
        case_ref=request.case_ref,
        verdict=decision.assessment.outcome.value,
        disclosed=(*decision.fields, *decision.predicates),
        details=details,
        private=private,
    )


def verdict_of(
    request: VerificationRequest,
    decision: Decision,
    at: datetime,
    ref: EntryRef,
    receipt_id: str,
    receipt: str,
) -> Verdict:
    """The answer as it leaves; the same members whatever the outcome."""
    outcome = decision.assessment.outcome
    record = None if outcome in rules.SILENT else decision.record
    return Verdict(
        verdict=outcome.value,
        checks=decision.assessment.checks,
        fields=decision.fields,
        predicates=decision.predicates,
        type=record.type if record else "",
        issuing_authority=record.issuing_authority if record else "",
        authority_name=record.authority_name if record else "",
        purpose=request.purpose,
        legal_basis=decision.legal_basis,
        case_ref=request.case_ref,
        checked_at=at,
        entry_id=ref.id,
        receipt_id=receipt_id,
        receipt=receipt,
        reason=decision.reason,
        next_step=rules.NEXT_STEPS[outcome],
        identifier=record.identifier if record else "",
    )


def _refusal(
    request: VerificationRequest, found: Facts, reason: str, *, of_form: bool = False
) -> Decision:
    """Said nothing, shown nothing; the holder still sees that somebody asked."""
    silent = rules.silent(Outcome.NOT_PERMITTED)
    return replace(_nothing(request, found, found.record, silent, reason), of_form=of_form)


def _nothing(
    request: VerificationRequest,
    found: Facts,
    record: CertificateRecord | None,
    assessment: Assessment,
    reason: str,
) -> Decision:
    """An answer that shows nothing, and what in it are words of ours."""
    return Decision(
        assessment,
        reason,
        record,
        {},
        {},
        request.legal_basis,
        basis_registered=_is_registered(request, found),
        purpose_known=found.purpose_known,
    )


def _is_registered(request: VerificationRequest, found: Facts) -> bool:
    """Whether the legal basis is, word for word, one that the purpose was registered with."""
    return any(request.legal_basis in purpose.legal_bases for purpose in found.grants.values())


def _not_found(request: VerificationRequest, found: Facts, handed_in: HandedIn | None) -> Decision:
    """A file is judged by what it says of itself; the register only adds that it knows nothing."""
    assessment = rules.silent(Outcome.NOT_FOUND)
    if handed_in is not None:
        checks = tuple(handed_in.checks.get(check.name, check) for check in rules.NOTHING_CHECKED)
        assessment = Assessment(_outcome_without_record(handed_in, checks), checks)
    return _nothing(request, found, None, assessment, _deciding(assessment))


def _outcome_without_record(handed_in: HandedIn, checks: tuple[Check, ...]) -> Outcome:
    if not handed_in.ours:
        return Outcome.NOT_A_CERTIFICATE
    if any(check.result == "fail" for check in checks):
        return Outcome.TAMPERED
    read = handed_in.checks["integrity"].result == "pass"
    return Outcome.NOT_FOUND if read else Outcome.SOURCE_UNAVAILABLE


def _against_register(
    handed_in: HandedIn, record: CertificateRecord, evidence: RecordEvidence
) -> Mapping[str, Check]:
    """A genuine seal is not enough: the file must say what the register says, under its seal."""
    checks = dict(handed_in.checks)
    if checks["integrity"].result == "pass" and not _says_the_same(handed_in, record):
        checks["integrity"] = rules.FAIL["integrity", "document_differs"]
    elif checks["integrity"].result == "pass" and evidence.intact is False:
        checks["integrity"] = rules.FAIL["integrity", "record_altered"]
    if "seal" in checks and checks["seal"].result == "pass" and handed_in.seal_id != record.seal_id:
        checks["seal"] = rules.FAIL["seal", "seal_not_ours"]
    if (
        "authority" in checks
        and checks["authority"].result == "pass"
        and evidence.seal_owner != record.issuing_authority
    ):
        checks["authority"] = rules.FAIL["authority", "authority_differs"]
    return checks


def _says_the_same(handed_in: HandedIn, record: CertificateRecord) -> bool:
    said = handed_in.said  # without it, nothing ties the file to this record
    return said is not None and CREDENTIALS[said.format].same_as(said, record)


def _predicates(
    purpose: Purpose, assessment: Assessment, record: CertificateRecord, at: datetime
) -> dict[str, bool]:
    if not purpose.predicates:
        return {}
    code = record.holder_code if "holder_is_adult" in purpose.predicates else ""
    return rules.answer_predicates(purpose.predicates, assessment, code, at)


def _deciding(assessment: Assessment) -> str:
    """The reason code of the check that decided, "" when nothing speaks against it."""
    if assessment.outcome in rules.UNDECIDED:
        unknown = [check.code for check in assessment.checks if check.result == "unknown"]
        return next((code for code in unknown if code in rules.UNDECIDABLE), unknown[0])
    failed = (check.code for check in assessment.checks if check.result == "fail")
    return next(failed, "")


def _short(check: Check) -> str:
    return f"{check.result}:{check.code}"
