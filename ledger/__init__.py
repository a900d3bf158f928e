"""The ledger: an append-only record that anybody can check and nobody, we included, can rewrite.

Every act of this service (a licence issued, a look-up, a refusal) is one entry, committed in the
same transaction as the act. Entries are leaves of a Merkle tree, served as C2SP tlog-tiles; the
tree's head is signed as a checkpoint. Personal values are never in it, only salted commitments, so
a person can be forgotten while every proof stays valid.

An outside auditor reads this folder alone, from the bottom up:

    merkle     RFC 6962 hashing and proof checking: no storage, no keys
    tiles      the tree as strips of 256 hashes; roots and proofs from them
    notes      signed notes and checkpoints
    proofs     the offline proof file: `verify_proof`
    monitor    following a log from outside: rewound, forked or altered is noticed
    entries    what one entry says, and what it only commits to
    acts       the last act on a certificate's status, which its row is held against
    models     tables · store: questions to them
    service    `Ledger`: append, integrate, prove, show, forget
    fsck       recompute everything and compare
"""

from ledger import merkle
from ledger.acts import StatusAct
from ledger.entries import (
    SALT_BYTES,
    Entry,
    EntryRef,
    Opening,
    certificate_index,
    read_leaf,
    unseal_openings,
    write_leaf,
)
from ledger.errors import (
    EvidenceInvalid,
)
from ledger.models import Access, FsckReport
from ledger.notes import VerifierKey
from ledger.proofs import VerifiedProof, verify_proof
from ledger.service import Beside, Ledger
from ledger.store import (
    LAST_ACT,
    about_entry,
    add_acts,
    all_leaves,
    count_stray_acts,
    of_certificates,
    put_act,
    with_last_act,
)

__all__ = [
    "LAST_ACT",
    "SALT_BYTES",
    "Access",
    "Beside",
    "Entry",
    "EntryRef",
    "EvidenceInvalid",
    "FsckReport",
    "Ledger",
    "Opening",
    "StatusAct",
    "VerifiedProof",
    "VerifierKey",
    "about_entry",
    "add_acts",
    "all_leaves",
    "certificate_index",
    "count_stray_acts",
    "merkle",
    "of_certificates",
    "put_act",
    "read_leaf",
    "unseal_openings",
    "verify_proof",
    "with_last_act",
    "write_leaf",
]
