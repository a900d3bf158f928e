"""The register: what was issued, its state, and who may read it.

service   `Register`: reading, for the holder and for officers of the authority
changes   `StatusChanges`: suspend, restore, withdraw, revoke, cancel, supersede
acts      each status held against the ledger's last act on it
status    acts that change a state, and the Token Status List that tells everybody
store     the questions to the database
fsck      register, ledger and status lists compared
"""

from certificates.register.acts import (
    is_witnessed,
)
from certificates.register.store import lock

__all__ = ["acts", "is_witnessed", "lock"]
