"""Acts on a certificate's status: what the log says of them, and the witnesses made from it.

The registry's row is held against the ledger's witness whenever it is read (`ledger/acts.py`). Here
is what stands behind the witness: the log's own entries, which nobody can change unseen. `fsck`
compares with them, and `settle` makes row and witness from them again, when
somebody wrote into the tables; `adopt` makes the witnesses that an upgrade finds missing.

An entry counts for a certificate only when its sealed opening says so, which needs our field key.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

import orjson
from sqlalchemy import Row

from certificates.errors import StatusContradicted
from certificates.models import Certificate
from certificates.register import store
from certificates.register.status import Slot, record_change
from certificates.rules import STATES, State, starts, state_at
from foundation.actor import SYSTEM
from foundation.columns import cipher_of
from foundation.database import Tx
from foundation.encryption import FieldCipher, Undecryptable
from foundation.errors import Malformed
from ledger import (
    Entry,
    Ledger,
    StatusAct,
    add_acts,
    certificate_index,
    of_certificates,
    put_act,
    read_leaf,
    unseal_openings,
)

ISSUED: Final = "certificate.issued"
SETTLED: Final = "certificate.status_settled"
KINDS: Final[Mapping[State, str]] = {
    state: f"certificate.{'restored' if state is State.ACTIVE else state}"
    for state in State
    if state is not State.EXPIRED
}
_STATES: Final = {kind: state for state, kind in KINDS.items()} | {ISSUED: State.ACTIVE}
_MARKS: Final = tuple(f'"kind":"{kind}"'.encode() for kind in _STATES)
_CHUNK: Final = 500


def is_witnessed(certificate: Certificate) -> bool:
    """Is the status what the ledger's last act on it left? Without an act it is not."""
    ordinal, entry, tag = certificate.act_ordinal, certificate.act_entry, certificate.act_tag
    if ordinal is None or entry is None or tag is None:
        return False
    act = StatusAct(certificate.identifier, ordinal, *_status(certificate), entry)
    return act.is_witnessed(certificate.cipher, tag)


def next_ordinal(certificate: Certificate) -> int:
    """The number of the next act. Raises `StatusContradicted`: a false status is not built on."""
    if certificate.act_ordinal is None or not is_witnessed(certificate):
        raise StatusContradicted(
            f"the register and the ledger disagree about the status of {certificate.identifier}",
            next_step="python -m server ledger fsck, then: python -m server certificates settle",
        )
    return certificate.act_ordinal + 1


def in_log(tx: Tx, identifiers: Collection[str]) -> dict[str, StatusAct]:
    """The last act that the log knows on the status of each certificate."""
    cipher = cipher_of(tx.dialect)
    indexes = {certificate_index(cipher, identifier): identifier for identifier in identifiers}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in of_certificates(tx, indexes):
        identifier, leaf = indexes[row.certificate], bytes(row.leaf or b"")  # none: it is lost
        if any(mark in leaf for mark in _MARKS):
            facts = read_leaf(leaf)
            if facts["kind"] in _STATES and _is_about(cipher, row, facts, identifier):
                found.setdefault(identifier, []).append(facts)
    return {identifier: _last(identifier, entries) for identifier, entries in found.items()}


def adopt(tx: Tx, now: datetime) -> None:
    """Give every certificate that is without a witness one from the log, in an upgrade.

    A row that says something else than the log stays contradicted, and `fsck` names it. Raises
    `Undecryptable` under any key but our own (a key service may share its database).
    """
    cipher = cipher_of(tx.dialect)
    for found in _chunks(tx):
        _must_open(found[0])
        alone = [each for each in found if each.act_ordinal is None]
        logged = in_log(tx, [each.identifier for each in alone])
        acts = [(each, logged.get(each.identifier) or _believed(each, now)) for each in alone]
        rows = [_row(cipher, each, act) for each, act in acts if act is not None]
        add_acts(tx, rows)


def unsettled(tx: Tx) -> Iterator[Certificate]:
    """The certificates whose row, witness and log do not all say the same."""
    for found in _chunks(tx):
        logged = in_log(tx, [each.identifier for each in found])
        yield from (each for each in found if not agrees(each, logged.get(each.identifier)))


def settle(tx: Tx, ledger: Ledger, certificate: Certificate, now: datetime) -> str:
    """Make a locked certificate's status and witness from the log: "witnessed" when its row said
    the same, "restored" when it was set back, "unknown" when the log says nothing.
    """
    logged = in_log(tx, [certificate.identifier]).get(certificate.identifier)
    act = logged or _believed(certificate)
    if act is None:
        return "unknown"
    put_act(tx, _row(cipher_of(tx.dialect), certificate, act))
    if _status(certificate) == (act.state, act.since, act.reason):
        return "witnessed"
    _set_back(tx, ledger, certificate, act, now)
    return "restored"


def agrees(certificate: Certificate, act: StatusAct | None) -> bool:
    """Does the witness fit the row, and do both say what the log's last act says? Where the log is
    silent, because the holder was forgotten, the witness is all there is.
    """
    if act is None or not is_witnessed(certificate):
        return is_witnessed(certificate)
    witness = (certificate.act_ordinal, certificate.act_entry)
    said = (act.state, act.since, act.reason)
    return _status(certificate) == said and witness == (act.ordinal, act.entry_id)


def _chunks(tx: Tx) -> Iterator[list[Certificate]]:
    last = ""
    while found := store.after(tx, last, _CHUNK):
        yield found
        last = found[-1].id


def _must_open(certificate: Certificate) -> None:
    try:
        _ = certificate.holder_name
    except Undecryptable:
        raise Undecryptable(
            "certificates are here, and this master key opens none of them",
            next_step="python -m server migrate, with the master key of the house",
        ) from None


def _is_about(
    cipher: FieldCipher, row: Row[Any], facts: Mapping[str, Any], identifier: str
) -> bool:
    """Does the sealed opening say that this entry is about this certificate?"""
    try:
        opening = unseal_openings(cipher, row.entry_id, bytes(row.sealed or b""))["certificate"]
    except (Undecryptable, Malformed, KeyError, orjson.JSONDecodeError):
        return False
    is_it = facts["id"] == row.entry_id and opening.value == identifier
    return is_it and opening.opens(facts["commitments"]["certificate"])


def _last(identifier: str, entries: list[dict[str, Any]]) -> StatusAct:
    """Acts carry their number; those from before it was written come first, by their time."""

    def place(facts: Mapping[str, Any]) -> tuple[int, bool, str, str]:
        number = int(facts.get("details", {}).get("act", 0))
        return number, facts["kind"] != ISSUED, facts["at"], facts["id"]

    facts = max(entries, key=place)
    details = facts.get("details", {})
    day = details.get("effective_on")
    since = starts(date.fromisoformat(day)) if day else datetime.fromisoformat(facts["at"])
    return StatusAct(
        identifier,
        place(facts)[0] or len(entries),
        _STATES[facts["kind"]],
        since,
        details.get("reason", ""),
        facts["id"],
    )


def _believed(certificate: Certificate, now: datetime | None = None) -> StatusAct | None:
    """The row's own word, where the log is silent and the word is not "in force".

    In an upgrade that is so too when its time had run out by `now`. Later it is not: who can write
    the row can write its dates.
    """
    state = certificate.state
    if now is not None:
        state = state_at(state, certificate.valid_from, certificate.valid_until, now)
    if state in (State.ACTIVE, State.SUSPENDED):
        return None
    ordinal = certificate.act_ordinal or (1 if certificate.state is State.ACTIVE else 2)
    entry = certificate.act_entry or ""
    return StatusAct(certificate.identifier, ordinal, *_status(certificate), entry)


def _set_back(
    tx: Tx, ledger: Ledger, certificate: Certificate, act: StatusAct, now: datetime
) -> None:
    state = State(act.state)
    store.set_state(tx, certificate.id, state, act.since, act.reason)
    value = STATES[state].status_value
    record_change(tx, Slot(certificate.status_list, certificate.status_index), value, now)
    entry = Entry(
        kind=SETTLED,
        actor=SYSTEM,
        at=now,
        subject=certificate.subject,
        certificate=certificate.identifier,
        details={"state": act.state, "was": certificate.state},
    )
    ledger.append(tx, entry)


def _status(certificate: Certificate) -> tuple[State, datetime, str]:
    return certificate.state, certificate.state_since, certificate.state_reason


def _row(
    cipher: FieldCipher, certificate: Certificate, act: StatusAct
) -> tuple[str, int, str, str]:
    return certificate.id, act.ordinal, act.entry_id, act.tag(cipher)
