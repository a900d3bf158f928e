"""The services that are measured, as the server puts them together, without pages and jobs.

A folder holds everything: the database (SQLite, or what `url` names), the master key and nothing
else, so one process can fill it and another serve it. Every row of the register is really issued:
signed credential, status slot, ledger entry.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import insert

from certificates import CertificateType
from certificates.identifier import compose, new_serial, organisation_check
from certificates.issuing.drafting import content_of
from certificates.issuing.making import MadeCertificate, Order
from certificates.models import batches
from certificates.register.status import choose_slots
from foundation.actor import SYSTEM
from foundation.batching.routes import HotRoute
from foundation.clock import system_clock
from foundation.database import Database
from foundation.encryption import FieldCipher
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Ledger
from server.services import assemble
from signing import Seal
from signing.models import Approval

TYPE = "food-business-licence"
AUTHORITY = "11990000MB1A0001X" + organisation_check("11990000MB1A0001X")
AUTHORITY_NAME = "示例市市场监督管理局"
BATCH_ID = "bench"
CHUNK = 500


class BenchServices:
    """All services over the database of `folder`; `issuer` is the public address."""

    def __init__(self, folder: Path, issuer: str, url: str = "") -> None:
        clock, cipher_key = system_clock, _master_key(folder)
        self.folder = folder
        self.database = Database(
            url or f"sqlite:///{folder}/rooms.db", FieldCipher(cipher_key), pool_size=10
        )
        self.database.create_all()
        self.keys = Keys(self.database, SoftwareBackend(cipher_key), clock, issuer)
        self.keys.establish()
        self.keys.ensure("exchange.receipts")
        self._services = assemble(
            database=self.database,
            keys=self.keys,
            clock=clock,
            issuer=issuer,
            ledger=Ledger(self.database, self.keys, clock, "bench"),
        )
        self.ledger = self._services.ledger
        self.seals = self._services.seals
        self.signing = self._services.signing
        self.catalogue = self._services.catalogue
        self.certificates = self._services.certificates
        self.idp = self._services.idp
        self.purposes = self._services.purposes
        self.verifications = self._services.verifications

    def hot_routes(self) -> list[HotRoute]:
        """The fast lane of the product."""
        return self._services.hot_routes()

    def close(self) -> None:
        self._services.close()

    def kind(self, formats: Sequence[str] = ()) -> CertificateType:
        """The type that is issued here, perhaps with fewer renditions."""
        known = self.catalogue[TYPE]
        if not formats:
            return known
        return CertificateType(msgspec.structs.replace(known.definition, formats=tuple(formats)))


def _master_key(folder: Path) -> bytes:
    file = folder / "master.key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(secrets.token_bytes(32))
    return file.read_bytes()


# --- licences -------------------------------------------------------------------------------------


class Office:
    """A department with a seal, and the licences it issues."""

    def __init__(self, services: BenchServices, seal: Seal) -> None:
        self.services = services
        self.seal = seal

    @classmethod
    def open(cls, services: BenchServices) -> "Office":
        """Register the department's seal."""
        now = system_clock()
        with services.database.write() as tx:
            seal = services.seals.register(
                tx,
                owner=AUTHORITY,
                owner_name=AUTHORITY_NAME,
                name=AUTHORITY_NAME,
                code="9900010000001",
                by=SYSTEM,
                now=now,
            )
            tx.execute(insert(batches).values(**_batch(now)))
        return cls(services, seal)

    @classmethod
    def found(cls, services: BenchServices) -> "Office":
        """The office that another process opened in the same folder."""
        return cls(
            services, services.certificates.usable_seal(AUTHORITY, services.certificates.clock())
        )

    def order(self, kind: CertificateType, at: int, now: datetime) -> Order:
        """An approved content nobody has seen before; its names are drawn at random."""
        today = now.date()
        fields = {name: field.example for name, field in kind.fields.items()}
        fields |= {
            "licence_number": number(at),
            "operator_name": _han(12),
            "business_premises": _han(20),
            "legal_representative": _han(3),
            "issue_date": today.isoformat(),
            "valid_from": (today - timedelta(days=1)).isoformat(),
            "valid_until": (today + timedelta(days=1000)).isoformat(),
        }
        content = content_of(
            kind,
            fields,
            identifier=str(compose(kind.code, AUTHORITY, new_serial())),
            qr_token=secrets.token_urlsafe(16),
            authority=AUTHORITY,
            authority_name=self.seal.owner_name,
            seal_id=self.seal.id,
            template_hash=self.services.certificates.renderer.template_hash,
        )
        approval = Approval(content.digest, "wang", "li", now)
        return replace(Order(kind, content, approval, "Li"), batch_id=BATCH_ID, batch_row=at)

    def issue(self, orders: Sequence[Order], now: datetime) -> list[MadeCertificate]:
        """Make and keep, as a batch worker does: everything signed first, then one commit."""
        services = self.services
        slots = choose_slots(services.database, len(orders), now)
        made = [
            services.certificates.maker.make(order, self.seal, slot, now)
            for order, slot in zip(orders, slots, strict=True)
        ]
        with services.database.write() as tx:
            services.certificates.maker.keep(tx, made)
        return made

    def fill(self, rows: int, start: int = 0) -> None:
        """Issue licences `start` … `rows` with their credentials and ledger entries, no pages."""
        kind = self.services.kind(["dc+sd-jwt"])
        for chunk in _chunks(range(start, rows)):
            now = system_clock()  # keys sign for no other time than now
            self.issue([self.order(kind, at, now) for at in chunk], now)


def number(at: int) -> str:
    """The licence number of row `at`."""
    return f"JY2{at:013d}"


def _chunks(rows: range) -> Iterator[range]:
    return (rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK))


def _han(length: int) -> str:
    """Random common Chinese characters: no two documents are alike, as in life."""
    return "".join(chr(0x4E00 + secrets.randbelow(0x3000)) for _ in range(length))


def _batch(now: datetime) -> dict[str, Any]:
    words = ["mapping", "authority_name", "filename", "file_digest", "encoding"]
    words += ["content_digest", "drafter_name"]
    return {
        **dict.fromkeys(words, ""),
        "id": BATCH_ID,
        "type": TYPE,
        "authority": AUTHORITY,
        "rows": 0,
        "error_count": 0,
        "errors": [],
        "notice_count": 0,
        "notices": [],
        "state": "checked",
        "drafter": "wang",
        "created_at": now,
    }
