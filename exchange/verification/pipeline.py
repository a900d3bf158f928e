"""The one way from a question to an answer; whoever asks takes the same steps.

    1. admit    has the asker missed too often?                        quota
    2.          the facts                                              facts
    3. decide   facts become decisions, misses are charged             decisions.answer
    4. write    entries, the batch's receipt, what an Idempotency-Key keeps: one commit
    5.          the receipt is signed, and the answer may leave

On the fast lane `record` does the last two, in a transaction `write` and after it `signed`. Nothing
leaves before its commit. Where an Idempotency-Key keeps the answer, `record` signs before the
commit, so that what is kept is what is answered, in one commit; when that fails, the unsigned
answer is kept: it is decided, and is signed for whoever asks again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from exchange import store
from exchange.models import BatchVerdict, Verdict
from exchange.receipts.signing import ReceiptSigner
from exchange.verification.decisions import (
    CheckedQuestion,
    Decision,
    Facts,
    Key,
    Visible,
    answer,
    entry_of,
    verdict_of,
)
from exchange.verification.idempotency import IdempotencyClaim
from exchange.verification.quota import Quota
from foundation.actor import Actor
from foundation.database import Tx
from keys import Keys
from ledger import Beside, Entry, EntryRef, Ledger

A = TypeVar("A", Verdict, BatchVerdict)
A_co = TypeVar("A_co", Verdict, BatchVerdict, covariant=True)


class Asker(NamedTuple):
    """Who asks, and when. `address` tells anonymous askers apart."""

    actor: Actor
    now: datetime
    address: str = ""


@dataclass(slots=True)
class Decided(Generic[A]):
    """Questions with their decisions, still to be recorded."""

    asker: Asker
    questions: Sequence[CheckedQuestion]
    decisions: Sequence[Decision]
    form: "Form[A]"

    def entries(self) -> list[Entry]:
        """What the ledger keeps of them."""
        actor, now, batch = self.asker.actor, self.asker.now, self.form.receipt_id
        pairs = zip(self.questions, self.decisions, strict=True)
        return [entry_of(each.request, one, actor, now, batch) for each, one in pairs]

    def verdicts(self, refs: Sequence[EntryRef], receipt: str = "") -> list[Verdict]:
        """One for each question, all with the same receipt or none."""
        now = self.asker.now
        triples = zip(self.questions, self.decisions, refs, strict=True)
        return [
            verdict_of(each.request, one, now, ref, ref.id, receipt) for each, one, ref in triples
        ]

    def answer(self, refs: Sequence[EntryRef], receipt: str = "") -> A:
        """The answer; without its receipt as it is kept until that is signed."""
        return self.form.of(self, refs, receipt)


class Form(Protocol[A_co]):
    """How answers leave: each for itself, or many under one receipt."""

    receipt_id: str
    """That of the receipt over many; "" where each entry has its own."""

    def of(self, decided: "Decided[Any]", refs: Sequence[EntryRef], receipt: str) -> A_co:
        """The answer under its receipt."""

    def beside(self, asker: Asker) -> Beside | None:
        """Stores what belongs to the answer beside its entries; None where that is nothing."""

    def receipt(self, receipts: ReceiptSigner, refs: Sequence[EntryRef]) -> str:
        """Its receipt, signed."""


class SingleForm:
    """One answer."""

    receipt_id = ""

    def of(self, decided: Decided[Any], refs: Sequence[EntryRef], receipt: str) -> Verdict:
        """The verdict itself."""
        return decided.verdicts(refs, receipt)[0]

    def beside(self, asker: Asker) -> None:
        """Nothing."""

    def receipt(self, receipts: ReceiptSigner, refs: Sequence[EntryRef]) -> str:
        """The receipt over its one ledger entry."""
        return receipts.single(refs[0])


@dataclass(slots=True)
class BatchForm:
    """Many answers under one receipt."""

    receipt_id: str

    def of(self, decided: Decided[Any], refs: Sequence[EntryRef], receipt: str) -> BatchVerdict:
        """All verdicts under one receipt."""
        verdicts = tuple(decided.verdicts(refs))
        return BatchVerdict(verdicts, self.receipt_id, receipt, decided.asker.now)

    def beside(self, asker: Asker) -> Beside:
        """Stores which entries the receipt is over."""

        def keep(tx: Tx, refs: Sequence[EntryRef]) -> None:
            store.add_batch_receipt(tx, self.receipt_id, [ref.id for ref in refs], asker.now)

        return keep

    def receipt(self, receipts: ReceiptSigner, refs: Sequence[EntryRef]) -> str:
        """The receipt over all entries."""
        return receipts.batch(self.receipt_id, refs)


SINGLE = SingleForm()


class Pipeline:
    """From questions to answers. `visible` says what the catalogue shows a purpose today."""

    def __init__(
        self, ledger: Ledger, keys: Keys, receipts: ReceiptSigner, quota: Quota, visible: Visible
    ) -> None:
        self._ledger = ledger
        self._keys = keys
        self._receipts = receipts
        self._quota = quota
        self._visible = visible

    def admit(self, actor: Actor, now: datetime, address: str = "") -> Asker:
        """Whoever may ask now. Raises `TooManyRequests`."""
        self._quota.check(actor, address, now)
        return Asker(actor, now, address)

    def decide(
        self,
        asker: Asker,
        questions: Sequence[CheckedQuestion],
        facts: Mapping[Key, Facts],
        form: Form[A],
    ) -> Decided[A]:
        """The decisions; misses are charged to the asker."""
        decisions = answer(questions, facts, asker.now, visible=self._visible)
        misses = sum(each.is_miss for each in decisions)
        self._quota.charge(asker.actor, asker.address, asker.now, misses)
        return Decided(asker, questions, decisions, form)

    async def record(self, decided: Decided[A], claim: IdempotencyClaim[A] | None = None) -> A:
        """The signed answer, after the commit of its entries and of what `claim` keeps."""
        if claim is not None:
            return await self._record_kept(decided, claim)
        refs = await self._ledger.record_all(decided.entries(), decided.form.beside(decided.asker))
        return await self._keys.off_loop(lambda: self.signed(decided, refs))

    def write(
        self, tx: Tx, decided: Decided[A], claim: IdempotencyClaim[A] | None = None
    ) -> list[EntryRef]:
        """Write entries, and what `claim` keeps, in the caller's transaction."""
        refs = self._ledger.append_all(tx, decided.entries())
        if claim is not None:
            claim.keep(tx, decided.answer(refs))
        if (store_beside := decided.form.beside(decided.asker)) is not None:
            store_beside(tx, refs)
        return refs

    def signed(self, decided: Decided[A], refs: Sequence[EntryRef]) -> A:
        """The answer as it leaves."""
        return decided.answer(refs, decided.form.receipt(self._receipts, refs))

    async def _record_kept(self, decided: Decided[A], claim: IdempotencyClaim[A]) -> A:
        """The same with an answer that is kept: signed first, and then all in one commit."""
        entries = self._ledger.write(decided.entries())
        refs, failure = entries.refs, None
        try:
            kept = await self._keys.off_loop(lambda: self.signed(decided, refs))
        except Exception as problem:  # raised when what was decided is kept
            kept, failure = decided.answer(refs), problem

        store_beside = decided.form.beside(decided.asker)

        def keep(tx: Tx, refs: Sequence[EntryRef]) -> None:
            claim.keep(tx, kept)
            if store_beside is not None:
                store_beside(tx, refs)

        await self._ledger.commit(entries, keep)
        if failure is not None:
            raise failure
        return kept
