"""`StatusChanges`: what the law does to a certificate.

* One method is one transaction and one ledger entry.
* `followers` are told of a change of state in its own transaction.
* A certificate of another authority does not exist for an officer: 404, whatever was asked.
"""

from collections.abc import Callable
from datetime import datetime

from certificates import rules
from certificates.catalogue.fields import checked_note
from certificates.models import Certificate
from certificates.register import acts, store
from certificates.register.service import unknown_certificate
from certificates.register.status import Slot, record_change
from certificates.rules import State
from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from ledger import Entry, Ledger, StatusAct


class StatusChanges:
    """Suspend, restore, withdraw, revoke, cancel, supersede; and set right what disagrees."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self.followers: list[Callable[[Tx, str, datetime], None]] = []

    def change_state(
        self, actor: Actor, identifier: str, to: State, reason_code: str, note: str = ""
    ) -> Certificate:
        """Do a legal act to a certificate: suspend, restore, withdraw, revoke, cancel, supersede.

        Visible in the status list as soon as this returns. Raises `CertificateNotFound`,
        `RoleMissing`, `IllegalTransition`, `InvalidReason`, and `StatusContradicted` when the
        present status is not the one that the ledger's last act left: nothing is built on it.
        """
        rules.check_role(actor, "approver")
        note, now = checked_note(note), self._clock()
        with self._database.write() as tx:
            row = store.lock(tx, identifier)
            if row is None or row.issuing_authority != actor.organisation:
                raise unknown_certificate()
            ordinal = acts.next_ordinal(row)
            reason = rules.check_transition(row.state, to, reason_code)
            store.set_state(tx, row.id, to, now, reason.code)
            value = rules.STATES[to].status_value
            if value != rules.STATES[row.state].status_value:
                record_change(tx, Slot(row.status_list, row.status_index), value, now)
            entry = Entry(
                kind=acts.KINDS[to],
                actor=actor,
                at=now,
                subject=row.subject,
                certificate=identifier,
                legal_basis=reason.legal_basis,
                details={
                    "act": str(ordinal),
                    "reason": reason.code,
                    "national_code": rules.STATES[to].national_code,
                },
                private={"note": note} if note else {},
            )
            ref = self._ledger.append(tx, entry)
            act = StatusAct(identifier, ordinal, to, now, reason.code, ref.id)
            self._ledger.witness(tx, {row.id: act})
            for tell in self.followers:
                tell(tx, identifier, now)
            changed = store.by_identifier(tx, identifier)
        if changed is None:
            raise unknown_certificate()
        return changed

    def settle_statuses(self) -> dict[str, list[str]]:
        """Set every status that row, witness and log do not agree on to what the log says.

        Answers the identifiers by what became of them: "witnessed", "restored" or "unknown" (see
        `acts.settle`). Believes the stored log: `ledger fsck` comes first.
        """
        with self._database.read() as tx:
            doubtful = [each.identifier for each in acts.unsettled(tx)]
        outcomes: dict[str, list[str]] = {}
        for identifier in doubtful:
            now = self._clock()
            with self._database.write() as tx:
                certificate = store.lock(tx, identifier)
                if certificate is None:
                    continue
                outcome = acts.settle(tx, self._ledger, certificate, now)
                for tell in self.followers if outcome == "restored" else ():
                    tell(tx, identifier, now)
            outcomes.setdefault(outcome, []).append(identifier)
        return outcomes
