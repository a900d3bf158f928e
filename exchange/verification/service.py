"""`Verifications`: is this certificate good, and may you know?

    verify        one certificate by number, on the fast lane: one shared read, one shared commit
    verify_batch  up to 100 numbers: one read, one commit, one receipt
    verify_now    anything, synchronously: portal pages, CLI, files and QR codes
    create_show_code, withdraw_show_codes, open      the holder shows a certificate for a minute
                                                     (`showing`: and a person looks)

All of them are ways into one `pipeline`: the same facts, the same decision, the same ledger entry,
the same receipt. The entry is committed before the answer leaves, refusals and unknown numbers
included; status is read from the database for every question.
"""

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from certificates import Certificates
from certificates.identifier import ROOT
from exchange import consent, store
from exchange.errors import ReceiptNotFound
from exchange.models import (
    HOLDER_SHOW,
    PUBLIC_CHECK,
    BatchVerdict,
    ShowCode,
    Verdict,
    VerificationRequest,
)
from exchange.purposes import Purposes
from exchange.receipts import writing
from exchange.receipts.signing import ReceiptSigner
from exchange.verification import documents
from exchange.verification.decisions import (
    IDENTIFIER,
    KIND,
    NUMBER,
    TOKEN,
    CheckedQuestion,
    Decision,
    HandedIn,
)
from exchange.verification.facts import FactFinder
from exchange.verification.idempotency import IdempotencyClaim, IdempotencyKeys
from exchange.verification.pipeline import SINGLE, BatchForm, Form, Pipeline
from exchange.verification.provenance import Provenance
from exchange.verification.quota import Quota
from exchange.verification.requests import BatchRequest, checked, checked_batch
from exchange.verification.showing import Showing
from foundation.actor import SYSTEM, Actor, ActorKind
from foundation.clock import Clock
from foundation.database import Database, Tx
from keys import Keys
from ledger import Entry, EntryRef, Ledger, read_leaf, write_leaf
from signing import Signing, budget_of

PROOF_WAIT: Final = 1.0
_PROOF_STEP: Final = 0.05


def _nothing_more(_tx: Tx, _decision: Decision) -> None:
    """Most who verify want nothing but to know."""


class Verifications:
    """Verification between departments. `issuer` is the public URL of this service."""

    def __init__(
        self,
        database: Database,
        certificates: Certificates,
        signing: Signing,
        ledger: Ledger,
        keys: Keys,
        purposes: Purposes,
        clock: Clock,
        issuer: str,
    ) -> None:
        self.purposes = purposes
        self.issuer = issuer
        self.replays = IdempotencyKeys(database, clock, self._receipt)
        self._database = database
        self._signing = signing
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        provenance = Provenance(lambda record: documents.vouched_by_credential(keys, record), clock)
        self._facts = FactFinder(database, certificates, purposes, provenance)
        self._receipts = ReceiptSigner(database, keys, issuer, ledger.origin)
        self._pipeline = Pipeline(ledger, keys, self._receipts, Quota(), purposes.visible)
        self.showing = Showing(
            database, certificates, ledger, clock, self._facts, self._pipeline, purposes.visible
        )

    def close(self) -> None:
        """Stop reading facts, and finish writing the keys of answered requests."""
        self._facts.close()
        self.replays.close()

    # ── asking ───────────────────────────────────────────────────────────────────────────────

    async def verify(
        self,
        actor: Actor,
        request: VerificationRequest,
        claim: IdempotencyClaim[Verdict] | None = None,
    ) -> Verdict:
        """One answer, after its ledger entry is committed. Raises `IncompleteVerification`.

        A number takes the fast lane; a file or a QR code is examined on a thread. `claim` keeps
        what was decided, in the commit of the entry.
        """
        request = checked(request)
        if request.document or request.qr_text:
            return await asyncio.to_thread(self.verify_now, actor, request, claim=claim)
        question = _by_number(actor, request)
        asker = self._pipeline.admit(actor, self._clock())
        found = await self._facts.soon(question.key)
        decided = self._pipeline.decide(asker, [question], found, SINGLE)
        return await self._pipeline.record(decided, claim)

    async def verify_batch(
        self, actor: Actor, batch: BatchRequest, claim: IdempotencyClaim[BatchVerdict] | None = None
    ) -> BatchVerdict:
        """Many answers after one commit, and one receipt over all of them."""
        batch = checked_batch(batch)
        questions = [_by_number(actor, batch.single(number)) for number in batch.numbers]
        asker = self._pipeline.admit(actor, self._clock())
        found = await self._facts.soon_all([question.key for question in questions])
        form = BatchForm(f"batch-{secrets.token_hex(13)}")
        decided = self._pipeline.decide(asker, questions, found, form)
        return await self._pipeline.record(decided, claim)

    def verify_now(
        self,
        actor: Actor,
        request: VerificationRequest,
        *,
        address: str = "",
        then: Callable[[Tx, Decision], None] = _nothing_more,
        claim: IdempotencyClaim[Verdict] | None = None,
    ) -> Verdict:
        """The synchronous twin: facts and entry in one transaction. Examining a file comes first.

        `address` tells anonymous askers apart; `then` is done in the transaction, whatever the
        decision. Raises `IncompleteVerification`, `TooManyRequests`,
        and for a show code `ShowCodeExpired`.
        """
        request = checked(request)
        asker = self._pipeline.admit(actor, self._clock(), address)
        question = self._read(actor, request, asker.now)
        _, _, by, what = question.key
        if by == TOKEN and consent.is_show_code(what):
            opened = self.showing.open(actor, request, what, address, claim)
            return self._pipeline.signed(opened.decided, opened.refs)
        with self._database.write() as tx:
            found = self._facts.find(tx, [question.key])
            decided = self._pipeline.decide(asker, [question], found, SINGLE)
            refs = self._pipeline.write(tx, decided, claim)
            then(tx, decided.decisions[0])
        return self._pipeline.signed(decided, refs)

    # ── the holder shows ─────────────────────────────────────────────────────────────────────

    def create_show_code(self, actor: Actor, identifier: str) -> ShowCode:
        """A one-time code for a certificate that `actor` holds. Raises `CertificateNotHeld`."""
        return self.showing.create(actor, identifier)

    def withdraw_show_codes(self, actor: Actor, identifier: str) -> int:
        """Take back what is shown of a certificate that `actor` holds; answers how many codes."""
        return self.showing.withdraw(actor, identifier)

    def open(self, token: str, actor: Actor, *, address: str = "") -> Verdict:
        """What stands behind "/v/{token}": a shown certificate, or the code printed on one.

        A show code is used up by this. Raises `ShowCodeExpired` and `ShowCodeUnknown`.
        """
        request = VerificationRequest(qr_text=f"/v/{token}", purpose=_purpose_of(token))
        return self.verify_now(actor, request, address=address)

    def forget_old(self) -> int:
        """Forget what was only kept for a while: answers repeated to an Idempotency-Key, and codes
        that ended a day ago. A duty; answers how many rows went.
        """
        with self._database.write() as tx:
            return store.forget_old(tx, self._clock())

    # ── receipts ─────────────────────────────────────────────────────────────────────────────

    def receipt_file(self, receipt_id: str, actor: Actor | None = None) -> dict[str, object]:
        """The receipt file of an answer: see `exchange/receipts/writing.py`. Raises
        `ReceiptNotFound`.

        With `actor`, only the department (or the client) that asked finds it. A single receipt has
        the id of its ledger entry. It repeats a past answer and says nothing newer.
        """
        written, form = self._written(receipt_id)
        if actor and not _asked_by(actor, written[0]):
            raise ReceiptNotFound("there is no such receipt of your department")
        return writing.write_file(
            form.receipt(self._receipts, written),
            [(writing.for_asker(ref), self._ledger.proof(ref.id)) for ref in written],
            certificates=self._receipts.certificate_chain(),
            ledger_keys=[str(key) for key in self._ledger.verifier_keys()],
        )

    async def proved_receipt_file(self, receipt_id: str, actor: Actor) -> dict[str, object]:
        """The receipt file once the log has taken its entries in, waiting about a second for it."""
        waited = 0.0
        while True:
            file = await asyncio.to_thread(self.receipt_file, receipt_id, actor)
            if writing.is_proved(file) or waited >= PROOF_WAIT:
                return file
            await asyncio.sleep(_PROOF_STEP)
            waited += _PROOF_STEP

    def anchors(self) -> tuple[str, list[str]]:
        """What a stranger needs to check our receipts: root certificate (PEM), ledger keys."""
        chain = self._receipts.certificate_chain()
        return chain[-1], [str(key) for key in self._ledger.verifier_keys()]

    def specimen_receipt(self) -> str:
        """A receipt about an entry of no log: to see whether strangers can read what we sign."""
        ref = write_leaf(Entry(kind="exchange.specimen", actor=SYSTEM, at=self._clock()))
        return self._receipts.single(ref)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _read(self, actor: Actor, request: VerificationRequest, now: datetime) -> CheckedQuestion:
        """What to look for, and what the file or code says of itself."""
        handed_in: HandedIn | None = None
        if request.document:
            handed_in = documents.read_document(
                self._signing, self._keys, request.document, now, budget_of(actor)
            )
        elif not request.qr_text:
            return _by_number(actor, request)
        elif documents.is_offline_code(request.qr_text):
            handed_in = documents.read_code(self._keys, request.qr_text, now)
        else:
            token = documents.token_of(request.qr_text, self.issuer)
            return _question(actor, request, TOKEN, token)
        return _question(actor, request, IDENTIFIER, handed_in.identifier, handed_in)

    def _written(self, receipt_id: str) -> tuple[list[EntryRef], Form[Any]]:
        """The entries behind a receipt, and its form. Raises `ReceiptNotFound`."""
        with self._database.read() as tx:
            batch = store.batch_entry_ids(tx, receipt_id)
            ids = [receipt_id] if batch is None else batch
            refs = [store.written_entry(tx, self._database, entry_id) for entry_id in ids]
        written = [ref for ref in refs if ref is not None and _is_answer(ref)]
        if len(written) != len(refs):
            raise ReceiptNotFound("there is no such receipt of your department")
        return written, SINGLE if batch is None else BatchForm(receipt_id)

    async def _receipt(self, receipt_id: str) -> str:
        """A receipt whose answer is decided, signed."""

        def sign() -> str:
            written, form = self._written(receipt_id)
            return form.receipt(self._receipts, written)

        return await self._keys.on_thread(sign)


def _by_number(actor: Actor, request: VerificationRequest) -> CheckedQuestion:
    """A national identifier (GB/T 36904) or an authority's own number?"""
    by = IDENTIFIER if request.number.startswith(ROOT) else NUMBER
    return CheckedQuestion(request, (actor.organisation, request.purpose, by, request.number))


def _question(
    actor: Actor,
    request: VerificationRequest,
    by: str,
    what: str,
    handed_in: HandedIn | None = None,
) -> CheckedQuestion:
    return CheckedQuestion(request, (actor.organisation, request.purpose, by, what), handed_in)


def _purpose_of(token: str) -> str:
    return HOLDER_SHOW if consent.is_show_code(token) else PUBLIC_CHECK


def _is_answer(ref: EntryRef) -> bool:
    """Not every ledger entry is an answer; the others have no receipt."""
    return bool(read_leaf(ref.leaf).get("kind") == KIND)


def _asked_by(actor: Actor, ref: EntryRef) -> bool:
    asker = read_leaf(ref.leaf)["actor"]
    if actor.organisation:
        return bool(asker.get("organisation") == actor.organisation)
    return actor.kind is ActorKind.CLIENT and bool(asker.get("id") == actor.id)
