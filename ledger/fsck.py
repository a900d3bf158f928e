"""Recompute the whole log from its leaves and compare it with everything we stored or signed.

Trusts the leaves' bytes and the verifier keys, nothing else:

1. Entries: numbers without gap or double; each id is the one inside the leaf.
2. Checkpoints, every one: our signature, its row, and the root recomputed at its size; the last one
   covers the last entry. Checkpoints that somebody kept elsewhere (`witnessed`) must be part of
   this history too: that is how a rewound or forked log shows.
3. Tiles, every one, byte for byte, and none too many.
4. Those concerned: an entry about somebody has its row; its openings open the leaf's very
   commitments; no row belongs to no entry. As many rows are blank as the log itself says were.

Numbers are checked first, row by row: after a gap there is no tree to compare with, so 2 and 3 end
there and say so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any

import orjson
from sqlalchemy import Row

from foundation.database import Tx
from foundation.encryption import FieldCipher, Undecryptable
from foundation.errors import Malformed
from ledger import store
from ledger.entries import ERASED_KIND, Opening, certificate_index, read_leaf, unseal_openings
from ledger.errors import NoteInvalid
from ledger.merkle import CompactRange, leaf_hash
from ledger.models import FsckReport
from ledger.notes import Checkpoint, VerifierKey, open_checkpoint
from ledger.tiles import WIDTH, Edge

_CHUNK = 16 * WIDTH


@dataclass(frozen=True, slots=True, order=True)
class _Head:
    """A signed tree head to compare with: ours, or one that somebody kept elsewhere."""

    size: int
    root: bytes
    ours: bool


class Fsck:
    """One run over one snapshot. The first problem of each kind is named, the rest are counted."""

    def __init__(
        self, tx: Tx, cipher: FieldCipher, origin: str, keys: Sequence[VerifierKey]
    ) -> None:
        self._tx = tx
        self._cipher = cipher
        self._origin = origin
        self._keys = keys
        self._problems: dict[str, list[str]] = {}
        self._tree = CompactRange()
        self._edge = Edge()
        self._whole = True  # no gap so far
        self._signed = 0
        self._last_signed = 0
        self._said_blank = 0

    def run(self, witnessed: Sequence[str] = ()) -> FsckReport:
        """Read everything once and report; `witnessed` are signed notes that others kept of this
        log."""
        heads = merge(self._our_heads(), sorted(self._witnessed_heads(witnessed)))
        awaited = self._compare(next(heads, None), heads)
        seen = 0
        for rows in self._chunks():
            for row in rows:
                self._check_number(row, seen)
                facts = self._check_leaf(row)
                self._check_concerned(row, facts)
                seen += 1
                if self._whole:
                    self._tree.append(leaf_hash(row.leaf))
                    awaited = self._compare(awaited, heads)
            self._check_tiles(rows)
        if (stored := store.count(self._tx, store.entries)) != seen:
            self._note("number", f"{stored} entries are stored under {seen} numbers")
        self._check_end(awaited, heads)
        self._check_edge()
        self._check_strays()
        self._check_blanks()
        problems = tuple(
            found[0] if len(found) == 1 else f"{found[0]} (and {len(found) - 1} more)"
            for found in self._problems.values()
        )
        return FsckReport(seen, problems, checkpoints=self._signed, erased=self._said_blank)

    def _note(self, kind: str, problem: str) -> None:
        self._problems.setdefault(kind, []).append(problem)

    # ── 1. entries ───────────────────────────────────────────────────────────────────────────

    def _chunks(self) -> Iterator[list[Any]]:
        """Entries in order, each with the row and the openings of those concerned."""
        last = -1
        while rows := store.entries_after(self._tx, last, _CHUNK):
            yield rows
            last = rows[-1].seq

    def _check_number(self, row: Row[Any], expected: int) -> None:
        if self._whole and row.seq != expected:
            self._whole = False
            self._note("number", f"entry {expected} is missing: number {row.seq} stands there")

    def _check_leaf(self, row: Row[Any]) -> Mapping[str, Any]:
        try:
            facts = read_leaf(row.leaf)
            same = facts["id"] == row.entry_id
        except (orjson.JSONDecodeError, KeyError, TypeError):
            self._note("leaf", f"entry {row.seq} cannot be read")
            return {}
        if not same:
            self._note("leaf", f"entry {row.seq} is stored under another entry's id")
        return facts

    # ── 2. checkpoints ───────────────────────────────────────────────────────────────────────

    def _our_heads(self) -> Iterator[_Head]:
        for row in store.all_checkpoints(self._tx):
            self._signed += 1
            self._last_signed = row.size
            try:
                signed = open_checkpoint(row.note, self._keys, self._origin)
            except NoteInvalid as problem:
                self._note("checkpoint", f"checkpoint {row.size}: {problem.detail}")
                continue
            if signed != Checkpoint(self._origin, row.size, bytes(row.root)):
                self._note("checkpoint", f"checkpoint {row.size} says something else than its row")
                continue
            yield _Head(signed.size, signed.root, ours=True)

    def _witnessed_heads(self, notes: Sequence[str]) -> Iterator[_Head]:
        for note in notes:
            try:
                signed = open_checkpoint(note, self._keys, self._origin)
            except NoteInvalid as problem:
                self._note("witnessed", f"a witnessed checkpoint is not ours: {problem.detail}")
            else:
                yield _Head(signed.size, signed.root, ours=False)

    def _compare(self, awaited: _Head | None, heads: Iterator[_Head]) -> _Head | None:
        """Compare every head of the tree's present size; answers the next one to wait for."""
        while awaited is not None and awaited.size <= self._tree.size:
            if awaited.size < self._tree.size or awaited.root != self._tree.root():
                whose = "root signed" if awaited.ours else "log forked: root witnessed"
                self._note("root", f"the {whose} at {awaited.size} is not the root of the entries")
            awaited = next(heads, None)
        return awaited

    def _check_end(self, awaited: _Head | None, heads: Iterator[_Head]) -> None:
        """What was signed beyond the last entry, or not signed up to it."""
        size = self._tree.size
        while awaited is not None:
            if self._whole:
                whose = "signed" if awaited.ours else "witnessed: the log was rewound"
                self._note(
                    "end", f"the log ends at {size}, but {awaited.size} entries were {whose}"
                )
            awaited = next(heads, None)
        if not self._whole:
            self._note("end", f"checkpoints and tiles beyond entry {size} could not be compared")
        elif self._last_signed < size:
            self._note(
                "end", f"entry {self._last_signed} and those after it are under no checkpoint"
            )

    # ── 3. tiles ─────────────────────────────────────────────────────────────────────────────

    def _check_tiles(self, rows: Sequence[Row[Any]]) -> None:
        """Grow our own tiles by the new leaves and compare those that changed."""
        new = self._tree.size - self._edge.size
        self._edge, changed = self._edge.grow(leaf_hash(row.leaf) for row in rows[:new])
        for (level, number), hashes in changed.items():
            if not store.tile_hashes(self._tx, level, number).startswith(hashes):
                self._note("tile", f"tile {level}/{number} is not what the entries hash to")

    def _check_edge(self) -> None:
        """The partial tiles are exactly ours, and no tile lies beyond them."""
        if not self._whole:
            return
        expected = 0
        for level, hashes in enumerate(self._edge.partial):
            number, width = divmod(self._edge.size >> 8 * level, WIDTH)
            expected += number + bool(width)
            if hashes and store.tile_hashes(self._tx, level, number) != hashes:
                self._note("tile", f"tile {level}/{number} does not end where the log does")
        if (stored := store.count(self._tx, store.tiles)) != expected:
            self._note("tiles", f"{stored} tiles are stored, the entries make {expected}")

    # ── 4. those concerned ───────────────────────────────────────────────────────────────────

    def _check_concerned(self, row: Row[Any], facts: Mapping[str, Any]) -> None:
        commitments = facts.get("commitments", {})
        concerned = "subject" in commitments or "certificate" in commitments
        if concerned != (row.access is not None):
            problem = "is hidden from those it concerns" if concerned else "concerns nobody"
            self._note("access", f"entry {row.seq} {problem}")
        self._count_erased(facts)
        if not row.erased:
            self._check_openings(row, commitments)
        elif row.subject or row.certificate:
            self._note("erased", f"entry {row.seq} is marked erased but still names its subject")

    def _check_openings(self, row: Row[Any], commitments: Mapping[str, str]) -> None:
        openings: Mapping[str, Opening] = {}
        if row.sealed is not None:
            try:
                openings = unseal_openings(self._cipher, row.entry_id, row.sealed)
            except (Undecryptable, Malformed, orjson.JSONDecodeError):
                self._note("opening", f"the sealed values of entry {row.seq} do not open")
                return
        for name, commitment in commitments.items():
            if name not in openings or not openings[name].opens(commitment):
                self._note("opening", f"entry {row.seq}: the commitment {name} cannot be opened")
                return
        if row.access is not None and (row.subject, row.certificate) != self._index(openings):
            self._note("access", f"entry {row.seq} is filed under somebody or something else")

    def _index(self, openings: Mapping[str, Opening]) -> tuple[str, str]:
        values = {name: opening.value for name, opening in openings.items()}
        certificate = certificate_index(self._cipher, values.get("certificate", ""))
        return values.get("subject", ""), certificate

    def _count_erased(self, facts: Mapping[str, Any]) -> None:
        if facts.get("kind") == ERASED_KIND:
            self._said_blank += int(facts["details"]["entries"])

    def _check_blanks(self) -> None:
        for leaf in store.waiting_leaves(self._tx):
            self._count_erased(read_leaf(leaf))
        blank = store.count_erased(self._tx)
        if blank != self._said_blank:
            self._note("blank", f"{blank} entries were blanked, the log says {self._said_blank}")

    def _check_strays(self) -> None:
        """Rows of entries that do not exist, and entries that wait although they have a number."""
        for table, what in ((store.accesses, "access"), (store.openings, "opening")):
            if stray := store.first_stray(self._tx, table):
                self._note("stray", f"an {what} row belongs to no entry: {stray}")
        if double := store.first_double(self._tx):
            self._note("double", f"entry {double} waits although it has a number")
