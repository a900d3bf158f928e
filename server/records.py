"""What siblings may not tell each other, the server passes on: acts on seals to the ledger."""

from foundation.database import Tx
from ledger import Entry, Ledger
from signing import Record, SealAct


def ledger_sink(ledger: Ledger) -> Record:
    """Keeps each act on a seal as one ledger entry, in the transaction that takes it."""

    def record(tx: Tx, act: SealAct) -> None:
        ledger.append(
            tx,
            Entry(
                kind=act.kind,
                actor=act.by,
                at=act.at,
                details={"seal": act.seal_id, **act.details},
                private=act.private,
            ),
        )

    return record
