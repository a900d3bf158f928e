"""`Verifications`: is this certificate good, and may you know?

    verify        one certificate by number, on the fast lane: one shared read, one shared commit
    verify_batch  up to 100 numbers: one read, one commit, one receipt
    verify_now    anything, synchronously: portal pages, CLI, files and QR codes
    create_show_code, withdraw_show_codes, open      the holder shows a certificate for a minute
                                                     (`showing`: and a person looks)

All of them ask the same facts (`_fetch`), decide by the same rules (`decisions.decide`), write the
same ledger entry and answer with the same receipt. The entry is committed before the answer exists,
refusals and unknown numbers included; status is read from the database for every question.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from certificates import Certificate, Certificates
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
from exchange.rules import RecordEvidence
from exchange.verification import documents
from exchange.verification.decisions import (
    KIND,
    Decision,
    Facts,
    HandedIn,
    decide,
    entry_of,
    verdict_of,
)
from exchange.verification.idempotency import IdempotencyClaim, IdempotencyKeys
from exchange.verification.provenance import Provenance
from exchange.verification.quota import Quota
from exchange.verification.requests import BatchRequest, checked, checked_batch
from exchange.verification.showing import Showing
from foundation.actor import Actor, ActorKind
from foundation.batching import Loader
from foundation.clock import Clock
from foundation.database import Database, Tx
from keys import (
    Keys,
    NoActiveKey,
    UnknownCertificate,
)
from ledger import EntryRef, Ledger, read_leaf
from signing import Signing, budget_of

PROOF_WAIT: Final = 1.0
_PROOF_STEP: Final = 0.05

# One question to the database: (organisation, purpose), by what, and the number or token.
_Key = tuple[str, str, str, str]
_NUMBER, _IDENTIFIER, _TOKEN = "number", "identifier", "token"


def _nothing_more(_tx: Tx, _decision: Decision) -> None:
    """Most who verify want nothing but to know."""


class Verifications:
    """Verification between departments. `issuer` is the public URL of this house."""

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
        self._quota = Quota()
        self._database = database
        self._certificates = certificates
        self._signing = signing
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._provenance = Provenance(
            lambda record: documents.vouched_by_credential(keys, record), clock
        )
        self._loader: Loader[_Key, Facts] = Loader(database, self._fetch)
        self.showing = Showing(
            database, certificates, ledger, clock, self._quota, self._look, purposes.visible
        )

    def close(self) -> None:
        self._loader.close()
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
        if request.document or request.qr_text:
            return await asyncio.to_thread(self.verify_now, actor, request, claim=claim)
        request, now = checked(request), self._clock()
        self._quota.check(actor, "", now)
        key = (actor.organisation, request.purpose, *_by(request.number))
        found = await self._loader.get(key)
        decision = decide(request, found or _NOTHING, now, visible=self.purposes.visible)
        self._quota.charge(actor, "", now, decision.is_miss)

        def keep(tx: Tx, refs: Sequence[EntryRef]) -> None:
            if claim is not None:
                claim.keep(tx, _unsigned(request, decision, now, refs[0]))

        entry = entry_of(request, decision, actor, now)
        ref = await self._ledger.record(entry, keep if claim else None)
        return await self._keys.off_loop(lambda: self._answer(request, decision, now, ref))

    async def verify_batch(
        self, actor: Actor, batch: BatchRequest, claim: IdempotencyClaim[BatchVerdict] | None = None
    ) -> BatchVerdict:
        """Many answers after one commit, and one receipt over all of them."""
        batch, now = checked_batch(batch), self._clock()
        self._quota.check(actor, "", now)
        receipt_id = f"batch-{secrets.token_hex(13)}"
        keys = [(actor.organisation, batch.purpose, *_by(number)) for number in batch.numbers]
        found = await self._load_all(keys)
        decided = []
        for key, number in zip(keys, batch.numbers, strict=True):
            request = batch.single(number)
            facts = found.get(key, _NOTHING)
            decided.append((request, decide(request, facts, now, visible=self.purposes.visible)))
        self._quota.charge(actor, "", now, sum(one.is_miss for _, one in decided))

        def answer(refs: Sequence[EntryRef]) -> BatchVerdict:
            pairs = zip(decided, refs, strict=True)
            items = tuple(_unsigned(request, one, now, ref) for (request, one), ref in pairs)
            return BatchVerdict(items, receipt_id, "", now)

        def keep(tx: Tx, refs: Sequence[EntryRef]) -> None:
            if claim is not None:
                claim.keep(tx, answer(refs))
            store.add_batch_receipt(tx, receipt_id, [ref.id for ref in refs], now)

        entries = [entry_of(request, one, actor, now, receipt_id) for request, one in decided]
        refs = await self._ledger.record_all(entries, keep)
        claims = self._batch_claims(receipt_id, refs)
        receipt = await self._keys.off_loop(lambda: self._sign(claims))
        return replace(answer(refs), receipt=receipt)

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
        request, now = checked(request), self._clock()
        self._quota.check(actor, address, now)
        handed_in, by, what = self._read(actor, request, now)
        visible = self.purposes.visible
        if by == _TOKEN and consent.is_show_code(what):
            opened = self.showing.open(actor, request, what, address, claim)
            return self._answer(request, opened.decision, opened.at, opened.ref)
        key = (actor.organisation, request.purpose, by, what)
        with self._database.write() as tx:
            found = self._fetch(tx, [key]).get(key, _NOTHING)
            decision = decide(request, found, now, visible=visible, handed_in=handed_in)
            self._quota.charge(actor, address, now, decision.is_miss)
            ref = self._ledger.append(tx, entry_of(request, decision, actor, now))
            then(tx, decision)
            if claim is not None:
                claim.keep(tx, _unsigned(request, decision, now, ref))
        return self._answer(request, decision, now, ref)

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
        written, claims = self._written(receipt_id)
        if actor and not _asked_by(actor, written[0]):
            raise ReceiptNotFound("there is no such receipt of your department")
        return writing.write_file(
            self._sign(claims),
            [(writing.for_asker(ref), self._ledger.proof(ref.id)) for ref in written],
            certificates=self._certificate_chain(),
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
        chain = self._certificate_chain()
        return chain[-1], [str(key) for key in self._ledger.verifier_keys()]

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _fetch(self, tx: Tx, keys: Sequence[_Key]) -> Mapping[_Key, Facts]:
        """Purposes, records and their evidence for many questions: one query each.

        Nothing is examined for somebody who may not ask about it: that, too, would be an answer.
        """
        grants = self.purposes.load(tx, {(key[0], key[1]) for key in keys})
        records = self._records(tx, keys)
        allowed = [
            record
            for organisation, purpose, by, what in keys
            if (record := records[by].get(what)) and record.type in grants[organisation, purpose]
        ]
        evidence = self._provenance.of(tx, allowed)  # checking a signature takes time that tells
        answers = {}
        for key in keys:
            record = records[key[2]].get(key[3])
            proof = evidence.get(record.identifier, _NO_EVIDENCE) if record else _NO_EVIDENCE
            known = self.purposes.knows(key[1])
            answers[key] = Facts(grants[key[0], key[1]], record, proof, known)
        return answers

    def _look(self, tx: Tx, organisation: str, purpose: str, identifier: str) -> Facts:
        """The same about one certificate."""
        key = (organisation, purpose, _IDENTIFIER, identifier)
        return self._fetch(tx, [key])[key]

    def _records(self, tx: Tx, keys: Sequence[_Key]) -> Mapping[str, Mapping[str, Certificate]]:
        """The records behind keys, by what was asked and what it said; one query for each."""
        asked: dict[str, set[str]] = {}
        for _, _, by, what in keys:
            asked.setdefault(by, set()).add(what)
        load = {
            _NUMBER: self._certificates.load_many,
            _IDENTIFIER: self._certificates.load_many,
            _TOKEN: self._certificates.load_by_tokens,
        }
        return {by: load[by](tx, list(wanted - {""})) for by, wanted in asked.items()}

    async def _load_all(self, keys: Sequence[_Key]) -> Mapping[_Key, Facts]:
        def load() -> Mapping[_Key, Facts]:
            with self._database.read() as tx:
                return self._fetch(tx, keys)

        return await asyncio.to_thread(load)

    def _read(
        self, actor: Actor, request: VerificationRequest, now: datetime
    ) -> tuple[HandedIn | None, str, str]:
        """What to look for, and what the file or code says of itself."""
        if request.document:
            handed_in = documents.read_document(
                self._signing, self._keys, request.document, now, budget_of(actor)
            )
            return handed_in, _IDENTIFIER, handed_in.identifier
        if not request.qr_text:
            return None, *_by(request.number)
        if documents.is_offline_code(request.qr_text):
            handed_in = documents.read_code(self._keys, request.qr_text, now)
            return handed_in, _IDENTIFIER, handed_in.identifier
        return None, _TOKEN, documents.token_of(request.qr_text, self.issuer)

    def _answer(
        self, request: VerificationRequest, decision: Decision, now: datetime, ref: EntryRef
    ) -> Verdict:
        receipt = self._sign(self._single_claims(ref))
        return replace(_unsigned(request, decision, now, ref), receipt=receipt)

    def _single_claims(self, ref: EntryRef) -> bytes:
        return writing.single_claims(ref, issuer=self.issuer, log=self._ledger.origin)

    def _batch_claims(self, receipt_id: str, refs: Sequence[EntryRef]) -> bytes:
        return writing.batch_claims(receipt_id, refs, issuer=self.issuer, log=self._ledger.origin)

    def _sign(self, claims: bytes) -> str:
        try:
            return self._keys.jws(writing.KEY_USE, claims, typ=writing.TYP)
        except NoActiveKey:
            self._keys.ensure(writing.KEY_USE)
            return self._keys.jws(writing.KEY_USE, claims, typ=writing.TYP)

    def _written(self, receipt_id: str) -> tuple[list[EntryRef], bytes]:
        """The entries behind a receipt, and what it says of them. Raises `ReceiptNotFound`."""
        with self._database.read() as tx:
            batch = store.batch_entry_ids(tx, receipt_id)
            ids = [receipt_id] if batch is None else batch
            refs = [store.written_entry(tx, self._database, entry_id) for entry_id in ids]
        written = [ref for ref in refs if ref is not None and _is_answer(ref)]
        if len(written) != len(refs):
            raise ReceiptNotFound("there is no such receipt of your department")
        if batch is None:
            return written, self._single_claims(written[0])
        return written, self._batch_claims(receipt_id, written)

    async def _receipt(self, receipt_id: str) -> str:
        """A receipt whose answer is decided, signed."""
        return await self._keys.on_thread(lambda: self._sign(self._written(receipt_id)[1]))

    def _certificate_chain(self) -> list[str]:
        """PEM certificates of the key that signs receipts, up to the root; made when missing."""
        self._keys.ensure(writing.KEY_USE)
        subject = {"common_name": writing.SIGNER_NAME}
        try:
            chain = self._keys.chain(writing.KEY_USE)
        except UnknownCertificate:
            with self._database.write() as tx:
                self._keys.authority.certificate_for(tx, writing.KEY_USE, "receipt", subject)
            chain = self._keys.chain(writing.KEY_USE)
        return [writing.to_pem(der) for der in chain]


_NO_EVIDENCE = RecordEvidence()
_NOTHING = Facts({}, None, _NO_EVIDENCE)


def _unsigned(
    request: VerificationRequest, decision: Decision, now: datetime, ref: EntryRef
) -> Verdict:
    """An answer as it is kept until its receipt is signed."""
    return verdict_of(request, decision, now, ref, ref.id, "")


def _by(number: str) -> tuple[str, str]:
    """A national identifier (GB/T 36904) or an authority's own number?"""
    return (_IDENTIFIER if number.startswith(ROOT) else _NUMBER), number


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
