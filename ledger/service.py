"""`Ledger`: append, integrate, prove, show, forget.

- An entry is durable with the transaction that made it: `append` joins the caller's, `record`
  resolves after the commit of a batch. No commit, no entry; no entry, no answer.
- The integrator gives waiting entries their numbers. Numbers have no gaps and are never reused;
  entries, changed tiles and the signed checkpoint become visible in one commit, so nobody ever
  sees a checkpoint whose tiles are missing.
- Only one integrator works at a time, in whatever number of processes. Before it trusts a stored
  tree it recomputes the right edge and compares it with the last signed root; if they differ it
  refuses to go on (`LedgerDamaged`) rather than sign a second history.

    ref = ledger.append(tx, Entry(kind="certificate.issued", actor=actor, at=now, …))
    ledger.integrate()
    proof = ledger.proof(ref.id)         # verify_proof(ref.leaf, proof, ledger.verifier_keys())
"""

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import Row

from foundation.actor import SYSTEM, Actor
from foundation.batching import Condition, GroupWriter, Loader
from foundation.chance import Chance, random_pool
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import NotFound, YinzhengError
from foundation.paging import MAX_LIMIT, Page, decode_cursor, page_of
from keys import Keys
from ledger import store
from ledger.acts import StatusAct
from ledger.entries import (
    ERASED_KIND,
    Entry,
    EntryRef,
    certificate_index,
    read_leaf,
    seal_openings,
    unseal_openings,
    write_leaf,
)
from ledger.errors import LedgerDamaged, NoteInvalid
from ledger.fsck import Fsck
from ledger.merkle import leaf_hash
from ledger.models import Access, FsckReport, access_of
from ledger.notes import (
    ED25519,
    Checkpoint,
    VerifierKey,
    open_checkpoint,
    seal_note,
    signature_line,
)
from ledger.proofs import write_proof
from ledger.tiles import Edge, TilePath, Tree, encode_bundle, tile_width

KEY_USE: Final = "ledger.checkpoint"
_RANDOM_BYTES: Final = 256  # enough for an entry's id, seven salts and the nonce of its seal

Beside = Callable[[Tx, Sequence[EntryRef]], None]
"""Writes rows of the caller's that commit with entries, or raises a `YinzhengError` before it has
written any: then these entries are not written either."""


@dataclass(slots=True)
class _Written:
    """An entry as rows: for the outbox, for those concerned, and its sealed openings."""

    ref: EntryRef
    concerned: tuple[str, str, str] | None
    sealed: tuple[str, bytes] | None


_Group = tuple[Sequence[_Written], Beside | None]


@dataclass(frozen=True, slots=True)
class WrittenEntries:
    """Entries that have their names and hashes, and are still to be committed."""

    written: Sequence[_Written]

    @property
    def refs(self) -> list[EntryRef]:
        """What names each entry to others, in the order written."""
        return [each.ref for each in self.written]


class Ledger:
    """The log named `origin` (a URL without scheme, such as "registry.example/ledger")."""

    def __init__(self, database: Database, keys: Keys, clock: Clock, origin: str) -> None:
        self.origin = origin
        self._database = database
        self._cipher = database.cipher
        self._keys = keys
        self._clock = clock
        self._grown: tuple[bytes, Edge] | None = None  # (root, edge) we signed last; only a cache
        self._writer: GroupWriter[_Group, None] = GroupWriter(database, _insert_groups)
        self._heads = Loader(database, _latest_note)

    def close(self) -> None:
        """Commit what was given and stop the writer; nothing may be asked afterwards."""
        self._writer.close()
        self._heads.close()

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    def append(self, tx: Tx, entry: Entry) -> EntryRef:
        """Write an entry in the caller's transaction (the ordinary lane)."""
        return self.append_all(tx, [entry])[0]

    def append_all(self, tx: Tx, entries: Sequence[Entry]) -> list[EntryRef]:
        """Write several entries in the caller's transaction."""
        if not entries:
            return []
        all_written = self._write_all(entries)
        _insert(tx, all_written)
        return [written.ref for written in all_written]

    def witness(self, tx: Tx, acts: Mapping[str, StatusAct], *, first: bool = False) -> None:
        """Keep the last act on the status of certificates, by the registry's name of their rows.

        In the transaction of the acts' entries; `first` when the rows are new (`ledger/acts.py`).
        """
        rows = [
            (record, act.ordinal, act.entry_id, act.tag(self._cipher))
            for record, act in acts.items()
        ]
        if first:
            store.add_acts(tx, rows)
            return
        for row in rows:
            store.put_act(tx, row)

    async def record(
        self,
        entry: Entry,
        beside: Beside | None = None,
        given: Condition[Any, Any] | None = None,
    ) -> EntryRef:
        """Write an entry; resolves after the commit that made it durable (the fast lane).

        What `beside` writes commits with it. It runs where many entries are waiting: only writing
        belongs there. What it raises is raised here, and no other entry suffers from it. `given`
        is what must be written before it, in the same commit (`GroupWriter.submit`).
        """
        group = self._write_all([entry])
        await self._writer.submit((group, beside), given)
        return group[0].ref

    async def record_all(
        self, entries: Sequence[Entry], beside: Beside | None = None
    ) -> list[EntryRef]:
        """Write several entries, all or none."""
        group = self._write_all(entries)
        if group:
            await self._writer.submit((group, beside))
        return [written.ref for written in group]

    def write(self, entries: Sequence[Entry]) -> WrittenEntries:
        """Entries as they will stand, for what has to name them before they are committed."""
        return WrittenEntries(self._write_all(entries))

    async def commit(self, entries: WrittenEntries, beside: Beside | None = None) -> list[EntryRef]:
        """The other half of `record_all`."""
        if entries.written:
            await self._writer.submit((entries.written, beside))
        return entries.refs

    def erase(self, tx: Tx, subject: str, by: Actor = SYSTEM) -> int:
        """Forget who the entries about `subject` were about; answers how many entries that were.

        Salts and values go, leaves and proofs stay. What an official did in office is kept. The
        erasure is an entry itself, so a row that was blanked by other hands is found by `fsck`.
        """
        erased = 0
        while subject:
            rows = store.concerning(tx, store.by_subject(subject), None, MAX_LIMIT)
            for row in rows:
                store.forget(tx, row.entry_id, self._without_holder(row))
            erased += len(rows)
            if len(rows) < MAX_LIMIT:
                break
        if erased:
            details = {"entries": str(erased)}
            self.append(tx, Entry(kind=ERASED_KIND, actor=by, at=self._clock(), details=details))
        return erased

    # ── integrating ──────────────────────────────────────────────────────────────────────────

    def integrate(self, limit: int = 1024) -> int:
        """Number up to `limit` waiting entries and sign the new tree head; answers how many.

        One transaction. Raises `LedgerDamaged` when the stored tree is not the one we signed.
        """
        with self._database.read() as tx:
            if not store.is_waiting(tx):
                return 0
        self._keys.ensure(KEY_USE, "EdDSA")
        with self._database.write() as tx:
            store.integrate_alone(tx)
            edge = self._trusted_edge(tx)
            rows = store.take_waiting(tx, limit)
            if not rows:
                return 0
            grown, changed = edge.grow(leaf_hash(leaf) for _, leaf in rows)
            store.add_numbered(tx, edge.size, rows)
            store.put_tiles(tx, self._database, changed)
            root = grown.root()
            self._sign_head(tx, grown, root)
        self._grown = root, grown
        return len(rows)

    def integrate_all(self) -> int:
        """Integrate until nothing waits."""
        total = 0
        while done := self.integrate():
            total += done
        return total

    # ── proving ──────────────────────────────────────────────────────────────────────────────

    def proof(self, entry_id: str, *, with_entry: bool = False) -> str | None:
        """The entry's tlog-proof under the latest checkpoint; None until it is integrated.

        `with_entry` puts the leaf into the file, so that it stands alone.
        """
        with self._database.read() as tx:
            seq, head = store.seq_of(tx, entry_id), store.head(tx)
            if seq is None or head is None:
                return None
            tree = Tree(head.size, lambda *tile: store.tile(tx, *tile))
            leaf = store.leaves(tx, seq, 1)[0][2] if with_entry else b""
            return write_proof(seq, tree.inclusion(seq), head.note, leaf)

    def checkpoint(self) -> str:
        """The latest signed checkpoint; that of the empty tree before the first entry."""
        with self._database.read() as tx:
            head = store.head(tx)
        return head.note if head is not None else self._open_log()

    async def latest_checkpoint(self) -> str | None:
        """The same on the fast lane; None before the first."""
        return await self._heads.get("latest")

    def resource(self, path: TilePath) -> bytes:
        """A tile or an entry bundle of the signed tree. Raises `NotFound` for what it has not."""
        level = 0 if path.level is None else path.level
        with self._database.read() as tx:
            head = store.head(tx)
            if head is None or path.width > tile_width(head.size, level, path.number):
                raise NotFound("the log has not grown to this tile yet")
            if path.level is None:
                return encode_bundle(store.bundle(tx, path.number, path.width))
            return store.tile(tx, level, path.number, path.width)

    def verifier_keys(self) -> list[VerifierKey]:
        """Every key that ever signed or may sign for this log, the newest first."""
        return [
            VerifierKey(self.origin, ED25519, key.public_key.public_bytes_raw())
            for key in self._keys.inventory(KEY_USE)
        ]

    def fsck(self, witnessed: Sequence[str] = ()) -> FsckReport:
        """Recompute everything from the leaves and compare (see `ledger/fsck.py`).

        `witnessed` are checkpoints that somebody kept elsewhere; the log must still continue them.
        """
        with self._database.read() as tx:
            return Fsck(tx, self._cipher, self.origin, self.verifier_keys()).run(witnessed)

    # ── showing ──────────────────────────────────────────────────────────────────────────────

    def about(
        self, subjects: Collection[str], *, after: str | None = None, limit: int = 50
    ) -> Page[Access]:
        """What was done concerning `subjects`, newest first; `after` is the `next` of a page."""
        before = None if after is None else decode_cursor(after, str)[0]
        limit = min(max(limit, 1), MAX_LIMIT)
        with self._database.read() as tx:
            each = [
                store.concerning(tx, store.by_subject(subject), before, limit + 1)
                for subject in set(subjects)
                if subject
            ]
        newest = heapq.merge(*each, key=lambda row: row.entry_id, reverse=True)
        accesses = [self._access(row) for row in islice(newest, limit + 1)]
        return page_of(accesses, limit, lambda access: (access.entry_id,))

    def history(self, certificate: str, limit: int = MAX_LIMIT) -> list[Access]:
        """The latest entries about one certificate, newest first."""
        with self._database.read() as tx:
            who = store.by_certificate(certificate_index(self._cipher, certificate))
            rows = store.concerning(tx, who, None, limit)
        return [self._access(row) for row in rows]

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _write_all(self, entries: Sequence[Entry]) -> list[_Written]:
        chance = random_pool(len(entries) * _RANDOM_BYTES)
        return [self._write(entry, chance) for entry in entries]

    def _write(self, entry: Entry, chance: Chance) -> _Written:
        ref = write_leaf(entry, chance)
        concerned = sealed = None
        if entry.subject or entry.certificate:
            index = certificate_index(self._cipher, entry.certificate)
            concerned = (ref.id, entry.subject, index)
        if ref.openings:
            sealed = (ref.id, seal_openings(self._cipher, ref.id, ref.openings, chance))
        return _Written(ref, concerned, sealed)

    def _trusted_edge(self, tx: Tx) -> Edge:
        """The right edge to grow from: the one we grew last, or the stored one after a check.

        1. The latest checkpoint carries our signature and says what its row says.
        2. No entry lies beyond it.
        3. The stored right edge leads to its root.
        """
        head = store.head(tx)
        if head is None:
            if self._grown is not None or store.entry_count(tx):
                raise LedgerDamaged("there are entries but no checkpoint")
            return Edge()
        if self._grown is not None:
            root, edge = self._grown
            if root == bytes(head.root):
                return edge
            if head.size <= edge.size:
                raise LedgerDamaged(
                    f"the log had {edge.size} entries and was set back to {head.size}"
                )
        try:  # 1
            signed = open_checkpoint(head.note, self.verifier_keys(), self.origin)
        except NoteInvalid as problem:
            raise LedgerDamaged(f"the latest checkpoint is not ours: {problem.detail}") from None
        if (signed.size, signed.root) != (head.size, bytes(head.root)):
            raise LedgerDamaged("the latest checkpoint says something else than its row")
        if store.entry_count(tx) != head.size:  # 2
            raise LedgerDamaged(f"the entries do not end where the checkpoint does, at {head.size}")
        edge = Edge.load(head.size, lambda *tile: store.tile(tx, *tile))
        if edge.root() != signed.root:  # 3
            raise LedgerDamaged(f"the tiles do not lead to the root signed at {head.size}")
        return edge

    def _sign_head(self, tx: Tx, edge: Edge, root: bytes) -> str:
        head = Checkpoint(self.origin, edge.size, root)
        signature = self._keys.sign(KEY_USE, head.text().encode())
        public = self._keys.find(signature.kid).public_key.public_bytes_raw()
        line = signature_line(VerifierKey(self.origin, ED25519, public), signature.value)
        note = seal_note(head.text(), line)
        store.add_checkpoint(tx, head, note, self._clock())
        return note

    def _open_log(self) -> str:
        """Sign the empty tree, so that a reader can begin before the first entry."""
        self._keys.ensure(KEY_USE, "EdDSA")
        with self._database.write() as tx:
            store.integrate_alone(tx)
            edge = self._trusted_edge(tx)
            head = store.head(tx)
            return head.note if head is not None else self._sign_head(tx, edge, edge.root())

    def _access(self, row: Row[Any]) -> Access:
        facts = read_leaf(row.leaf)
        opened = {}
        if row.sealed is not None:
            openings = unseal_openings(self._cipher, row.entry_id, row.sealed)
            opened = {name: opening.value for name, opening in openings.items()}
        return access_of(facts, opened, row.seq)

    def _without_holder(self, row: Row[Any]) -> bytes | None:
        """What may be kept of an erased entry's openings: which official acted."""
        if row.sealed is None or "organisation" not in read_leaf(row.leaf)["actor"]:
            return None
        openings = unseal_openings(self._cipher, row.entry_id, row.sealed)
        kept = {name: openings[name] for name in _OFFICIAL if name in openings}
        return seal_openings(self._cipher, row.entry_id, kept) if kept else None


_OFFICIAL = ("actor", "actor_name")


def _insert_groups(tx: Tx, groups: Sequence[_Group]) -> list[YinzhengError | None]:
    refused = [_refusal(tx, *group) for group in groups]
    kept = [group for (group, _), refusal in zip(groups, refused, strict=True) if refusal is None]
    _insert(tx, [written for group in kept for written in group])
    return refused


def _refusal(tx: Tx, group: Sequence[_Written], beside: Beside | None) -> YinzhengError | None:
    """Why entries may not be written, as whoever writes beside them says."""
    if beside is not None:
        try:
            beside(tx, [written.ref for written in group])
        except YinzhengError as refusal:
            return refusal
    return None


def _insert(tx: Tx, all_written: Sequence[_Written]) -> None:
    store.add_entries(
        tx,
        [(each.ref.id, each.ref.leaf) for each in all_written],
        [each.concerned for each in all_written if each.concerned is not None],
        [each.sealed for each in all_written if each.sealed is not None],
    )


def _latest_note(tx: Tx, keys: Sequence[str]) -> dict[str, str]:
    head = store.head(tx)
    return {} if head is None else dict.fromkeys(keys, head.note)
