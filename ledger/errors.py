"""What can go wrong with the ledger, split by whose fault it is.

YinzhengError
├── LedgerDamaged             500  ledger_damaged      ours: the store contradicts what we signed
├── Invalid
│   └── EntryRefused          422  entry_refused       the caller's: this may not be written down
└── EvidenceInvalid           422  evidence_invalid    whoever hands the evidence over
    ├── NoteInvalid                note_invalid        a checkpoint is not signed as it must be
    ├── ProofInvalid               proof_invalid       a proof does not lead to the signed root
    ├── LogAltered                 log_altered         what the log serves is not what it signed
    ├── LogRewound                 log_rewound         the log is shorter than it once was
    └── LogForked                  log_forked          the log tells two people two histories
"""

from foundation.errors import Invalid, YinzhengError


class LedgerDamaged(YinzhengError):
    """Stored entries or tiles do not lead to the root we signed; nothing more is appended."""

    code = "ledger_damaged"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, next_step="stop writing and run `ledger fsck`")


class EntryRefused(Invalid):
    """The entry may not be written: too long, not a code, or personal data in a public place."""

    code = "entry_refused"


class EvidenceInvalid(YinzhengError):
    """Evidence that was shown to us does not prove what it claims."""

    code = "evidence_invalid"
    status = 422


class NoteInvalid(EvidenceInvalid):
    """A signed note or checkpoint is malformed, of another log, or not signed by a trusted key."""

    code = "note_invalid"


class ProofInvalid(EvidenceInvalid):
    """A proof is malformed, or does not lead to the root that was signed."""

    code = "proof_invalid"


class LogAltered(EvidenceInvalid):
    """The entries or tiles that the log serves do not hash to the root that it signed."""

    code = "log_altered"


class LogRewound(EvidenceInvalid):
    """The log has fewer entries than it had when it was last read."""

    code = "log_rewound"


class LogForked(EvidenceInvalid):
    """The log signed two trees that do not share one history."""

    code = "log_forked"
