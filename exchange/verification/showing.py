"""`Showing`: a holder shows a certificate by a code, and whoever is shown it looks.

    create      the holder makes a code for one certificate, one look, one minute
    withdraw    the holder takes back what can still be looked at
    open        the code is used up, and the entry written that the holder reads
    open_for    the same for a person's browser, which may look again
    again       the same answer for the same browser: no question, no entry, nothing changes

A program reads its answer once and keeps it. A person's page is loaded again by reloads, by the
back button and by networks that lose it, so what `open_for` found is kept, encrypted, until the
code's own end. It is shown only to whoever has the browser's word (the database knows its hash),
and only while it is still so: another status, or a code taken back, ends it at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import orjson
from sqlalchemy import Row

from certificates import Certificate, Certificates
from exchange import consent, store
from exchange.errors import CertificateNotHeld
from exchange.models import HOLDER_SHOW, ShowCode, Verdict, VerificationRequest
from exchange.verification.decisions import IDENTIFIER, CheckedQuestion, Visible, answer
from exchange.verification.facts import FactFinder
from exchange.verification.idempotency import IdempotencyClaim
from exchange.verification.pipeline import SINGLE, Asker, Decided, Pipeline
from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import YinzhengError
from ledger import Entry, EntryRef, Ledger


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of an opening. `good` says that the code was: it was still to be used, and is."""

    good: bool
    decided: Decided[Verdict]
    refs: Sequence[EntryRef]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept for a browser: the answer, and since when the certificate had its status."""

    verdict: Verdict
    status_since: datetime | None


class Showing:
    """Show codes and what they open."""

    def __init__(
        self,
        database: Database,
        certificates: Certificates,
        ledger: Ledger,
        clock: Clock,
        facts: FactFinder,
        pipeline: Pipeline,
        visible: Visible,
    ) -> None:
        self._database = database
        self._certificates = certificates
        self._ledger = ledger
        self._clock = clock
        self._facts = facts
        self._pipeline = pipeline
        self._visible = visible

    def create(self, actor: Actor, identifier: str) -> ShowCode:
        """A one-time code for a certificate that `actor` holds. Raises `CertificateNotHeld`."""
        now = self._clock()
        code = consent.new_show_code(identifier, now)
        with self._database.write() as tx:
            record = self._held(tx, actor, identifier)
            store.add_show_code(
                tx,
                consent.hash_of(code.token),
                record.identifier,
                record.subject,
                actor.id,
                code.expires_at,
            )
            self._ledger.append(tx, _shown("certificate.shown", actor, record, now))
        return code

    def withdraw(self, actor: Actor, identifier: str) -> int:
        """Take back what `actor`'s holder shows of a certificate: codes that nobody has opened yet,
        and answers that can still be looked at again. Answers how many that were.

        Who opens a code at the same moment is before or after, never both.
        """
        with self._database.write() as tx:
            record = self._held(tx, actor, identifier)
            now = self._clock()
            withdrawn = store.withdraw_show_codes(tx, record.identifier, record.subject, now)
            if withdrawn:
                entry = _shown("certificate.show_withdrawn", actor, record, now)
                self._ledger.append(tx, entry)
        return withdrawn

    def open(
        self,
        actor: Actor,
        request: VerificationRequest,
        token: str,
        address: str,
        claim: IdempotencyClaim[Verdict] | None = None,
    ) -> Opened:
        """Use up a code; a used or old one is refused, and the holder sees the attempt.

        `claim` keeps what came of it. Raises `ShowCodeExpired` and `ShowCodeUnknown`.
        """
        with self._database.write() as tx:
            code = store.lock_show_code(tx, consent.hash_of(token))
            opened = self._opened(tx, actor, request, code, address)
            refusal = _refusal(code, opened)
            if refusal is None:
                store.use_show_code(tx, consent.hash_of(token), opened.decided.asker.now)
            if claim is not None and refusal is not None:
                claim.keep_refusal(tx, refusal)
            elif claim is not None:
                claim.keep(tx, _verdict(opened))
        if refusal is not None:
            raise refusal
        return opened

    def open_for(self, browser: str, token: str, actor: Actor, *, address: str = "") -> datetime:
        """Use up a code for a person; until the moment answered, `again` shows what was found.

        `browser` is a word that only this browser has; the same form sent twice opens once, and
        nothing is signed. Raises `ShowCodeExpired`, `ShowCodeUnknown` and `TooManyRequests`.
        """
        request = VerificationRequest(qr_text=f"/v/{token}", purpose=HOLDER_SHOW)
        self._pipeline.admit(actor, self._clock(), address)
        with self._database.write() as tx:
            code = store.lock_show_code(tx, consent.hash_of(token))
            if code is not None and consent.may_look_again(code, browser, self._clock()):
                return _end_of(code)
            opened = self._opened(tx, actor, request, code, address)
            refusal = _refusal(code, opened)
            if refusal is None:
                at, seen_by = opened.decided.asker.now, consent.hash_of(browser)
                store.use_show_code(tx, consent.hash_of(token), at, seen_by, _seen(opened))
        if code is None or refusal is not None:
            raise refusal or consent.unknown()
        return _end_of(code)

    def again(self, browser: str, token: str) -> Verdict | None:
        """What this browser opened, without a receipt; None for a browser that opened nothing.

        Raises `ShowCodeExpired` when the code's minute is over, when it was taken back, and when
        what was answered is no longer so.
        """
        now = self._clock()
        with self._database.read() as tx:
            code = store.show_code(tx, consent.hash_of(token))
            if code is None or not consent.was_seen_by(code, browser):
                return None
            if code.answer is None or code.expires_at <= now:
                raise consent.expired()
            seen = msgspec.json.decode(code.answer, type=Seen)
            if not self._is_so(tx, code.certificate, seen, now):
                raise consent.expired()
        return seen.verdict

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _held(self, tx: Tx, actor: Actor, identifier: str) -> Certificate:
        record = self._certificates.load_many(tx, [identifier]).get(identifier)
        if record is None or record.subject not in actor.subjects:
            raise CertificateNotHeld("you hold no such certificate")
        return record

    def _opened(
        self,
        tx: Tx,
        actor: Actor,
        request: VerificationRequest,
        code: Row[Any] | None,
        address: str,
    ) -> Opened:
        """The answer to an opening, and its entry.

        The time is taken when the code's row is ours, so a code that ran out in the queue is out.
        """
        now = self._clock()
        good = code is not None and code.opened_at is None and code.expires_at > now
        certificate = code.certificate if code else ""
        key = (actor.organisation, request.purpose, IDENTIFIER, certificate)
        question = CheckedQuestion(request, key, code_over=not good)
        found = self._facts.find(tx, [key])
        decided = self._pipeline.decide(Asker(actor, now, address), [question], found, SINGLE)
        return Opened(good, decided, self._pipeline.write(tx, decided))

    def _is_so(self, tx: Tx, certificate: str, seen: Seen, now: datetime) -> bool:
        """Does the register still say what was answered, and did it all the while?"""
        key = ("", HOLDER_SHOW, IDENTIFIER, certificate)
        question = CheckedQuestion(VerificationRequest(purpose=HOLDER_SHOW), key)
        [decision] = answer([question], self._facts.find(tx, [key]), now, visible=self._visible)
        record = decision.record
        if record is None or record.state_since != seen.status_since:
            return False
        return decision.assessment.checks == seen.verdict.checks


def _verdict(opened: Opened) -> Verdict:
    return opened.decided.answer(opened.refs)


def _seen(opened: Opened) -> str:
    record = opened.decided.decisions[0].record
    since = record.state_since if record else None
    return orjson.dumps(Seen(_verdict(opened), since)).decode()


def _refusal(code: Row[Any] | None, opened: Opened) -> YinzhengError | None:
    if code is None:
        return consent.unknown()
    return None if opened.good else consent.expired()


def _end_of(code: Row[Any]) -> datetime:
    end: datetime = code.expires_at
    return end


def _shown(kind: str, actor: Actor, record: Certificate, now: datetime) -> Entry:
    """The entry of a holder who shows a certificate, or stops showing it."""
    return Entry(
        kind=kind,
        actor=actor,
        at=now,
        subject=record.subject,
        certificate=record.identifier,
        purpose=HOLDER_SHOW,
    )
