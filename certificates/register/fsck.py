"""Is the registry what the ledger and the status lists say it is? Recompute and compare.

1. Certificates: the row is what was issued (its digest), its identifier's check character agrees,
   two people stand behind it, and every rendition of its type is there, byte for byte.
2. The ledger: exactly one `certificate.issued` for each, none for a certificate that is not there.
3. The status: row, the ledger's witness and the log's last act say the same (`acts`).
   Status lists: every slot holds the value of its certificate's state, every other slot is zero,
   and each list's history has no gap.
4. Where certificates come from: a draft is sealed, and a batch row issued, exactly when there is a
   certificate of it.

Together with `ledger fsck` it shows that nothing acknowledged was lost and nothing issued twice.
Reads one snapshot; the first problem of each kind is named, the rest are counted.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from certificates.catalogue import Catalogue
from certificates.identifier import parse
from certificates.models import Certificate, certificates
from certificates.register import acts, fsck_store, status_store, store
from certificates.register.status import get, read_bits
from certificates.rules import STATES
from foundation.database import Tx
from foundation.encryption import Undecryptable
from ledger import StatusAct, all_leaves, count_stray_acts, read_leaf

_MARK = b'"kind":"certificate.issued"'  # nearly all leaves are others, and this is cheap
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class RegisterReport:
    """What was found among `certificates` certificates."""

    certificates: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no problem was found."""
        return not self.problems


class RegisterFsck:
    """One run over one snapshot."""

    def __init__(self, tx: Tx, catalogue: Catalogue) -> None:
        self._tx = tx
        self._catalogue = catalogue
        self._problems: dict[str, list[str]] = {}
        self._bits: dict[int, bytearray] = {}

    def run(self) -> RegisterReport:
        """Compare every certificate with its files, ledger entries and status bits, and report."""
        self._read_lists()
        issued = self._issued_entries()
        seen = 0
        for found in self._chunks():
            files = fsck_store.files_of(self._tx, [each.id for each in found])
            logged = acts.in_log(self._tx, [each.identifier for each in found])
            for certificate in found:
                seen += 1
                self._check_certificate(certificate, files.get(certificate.id, {}))
                self._check_entry(certificate, issued)
                self._check_slot(certificate)
                self._check_act(certificate, logged.get(certificate.identifier))
        self._check_left_over(issued)
        self._check_origins()
        problems = tuple(
            each[0] if len(each) == 1 else f"{each[0]} (and {len(each) - 1} more)"
            for each in self._problems.values()
        )
        return RegisterReport(seen, problems)

    def _note(self, kind: str, problem: str) -> None:
        self._problems.setdefault(kind, []).append(problem)

    def _chunks(self) -> Iterator[list[Certificate]]:
        last = ""
        while found := store.after(self._tx, last, _CHUNK):
            yield found
            last = found[-1].id

    # ── 1. certificates ──────────────────────────────────────────────────────────────────────

    def _check_certificate(self, certificate: Certificate, files: dict[str, bool]) -> None:
        name = certificate.identifier
        try:
            intact = certificate.is_intact
        except Undecryptable:
            intact = False
        if not intact:
            self._note("record", f"{name} is not what was issued")
        if parse(name) is None:
            self._note("identifier", f"{name} has a wrong check character")
        if certificate.drafter == certificate.approver:
            self._note("eyes", f"{name} was drafted and approved by one person")
        kind = self._catalogue.get(certificate.type)
        if kind is not None and kind.version == certificate.type_version:
            for form in sorted(set(kind.formats) - {form for form, same in files.items() if same}):
                self._note("rendition", f"the {form} of {name} is missing or altered")

    # ── 2. the ledger ────────────────────────────────────────────────────────────────────────

    def _issued_entries(self) -> Counter[str]:
        """How often the ledger says that a record with this digest was issued."""
        issued: Counter[str] = Counter()
        for leaf in all_leaves(self._tx):
            if _MARK in leaf:
                issued[read_leaf(leaf)["details"]["record_digest"]] += 1
        return issued

    def _check_entry(self, certificate: Certificate, issued: Counter[str]) -> None:
        times = issued.pop(certificate.record_digest, 0)
        if times != 1:
            self._note("entry", f"{certificate.identifier} was issued {times} times by the ledger")

    # ── 3. status lists ──────────────────────────────────────────────────────────────────────

    def _read_lists(self) -> None:
        for list_id, version, count, last in status_store.histories(self._tx):
            self._bits[list_id] = read_bits(self._tx, list_id)
            if not count == last == version:
                self._note("history", f"the history of status list {list_id} has a gap")

    def _check_slot(self, certificate: Certificate) -> None:
        """Compare a certificate's value, and clear it: what is left at the end is nobody's."""
        bits = self._bits[certificate.status_list]
        value = get(bits, certificate.status_index)
        if value != STATES[certificate.state].status_value:
            said = f"{certificate.identifier} is {certificate.state}, its list says {value}"
            self._note("status", said)
        shift = certificate.status_index % 4 * 2
        bits[certificate.status_index // 4] &= ~(0b11 << shift) & 0xFF

    def _check_act(self, certificate: Certificate, act: StatusAct | None) -> None:
        name = certificate.identifier
        if certificate.act_ordinal is None:
            self._note("status", f"the act that made {name} {certificate.state} is missing")
        elif not acts.is_witnessed(certificate):
            self._note("status", f"{name} is {certificate.state}, its last act says something else")
        elif act is not None and not acts.agrees(certificate, act):
            said = f"the log's act {act.ordinal} made it {act.state}"
            self._note("status", f"{name} is {certificate.state}, {said}")

    # ── 4. what is left over, and where things come from ─────────────────────────────────────

    def _check_left_over(self, issued: Counter[str]) -> None:
        for digest in issued:
            self._note("lost", f"the ledger says that {digest} was issued, and it is not there")
        if stray := count_stray_acts(self._tx, certificates.c.id):
            self._note("lost", f"{stray} status acts are about certificates that are not there")
        for list_id, bits in self._bits.items():
            if any(bits):
                self._note("slot", f"status list {list_id} marks a slot that is nobody's")

    def _check_origins(self) -> None:
        for name, state, is_there in fsck_store.wrong_origins(self._tx):
            what = "although there is a certificate" if is_there else "without a certificate"
            self._note("origin", f"{name} is {state} {what}")
