"""Who signs receipts: one key, its certificate, and what it says of ledger entries."""

from collections.abc import Sequence

from exchange.receipts import writing
from foundation.database import Database
from keys import Keys, NoActiveKey, UnknownCertificate
from ledger import EntryRef


class ReceiptSigner:
    """Receipts of the service `issuer` about entries of the log named `log`."""

    def __init__(self, database: Database, keys: Keys, issuer: str, log: str) -> None:
        self._database = database
        self._keys = keys
        self._issuer = issuer
        self._log = log

    def single(self, ref: EntryRef) -> str:
        """The receipt of one entry."""
        return self._sign(writing.single_claims(ref, issuer=self._issuer, log=self._log))

    def batch(self, receipt_id: str, refs: Sequence[EntryRef]) -> str:
        """One receipt over many entries."""
        return self._sign(
            writing.batch_claims(receipt_id, refs, issuer=self._issuer, log=self._log)
        )

    def certificate_chain(self) -> list[str]:
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

    def _sign(self, claims: bytes) -> str:
        try:
            return self._keys.jws(writing.KEY_USE, claims, typ=writing.TYP)
        except NoActiveKey:
            self._keys.ensure(writing.KEY_USE)
            return self._keys.jws(writing.KEY_USE, claims, typ=writing.TYP)
