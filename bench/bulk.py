"""Certificates in bulk: a page drawn and sealed against typst alone, and JSON renditions a second.

Every document is different, as in life: typst remembers what it has drawn before. Durable on our
side (SQLite, synchronous=FULL); CPU time of this process, interleaved, the median of each.
"""

import json
import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import typst
from sqlalchemy import insert

import foundation.jobs
from bench import Row
from certificates import Catalogue, Certificates, CertificateType
from certificates.drafting import content_of
from certificates.identifier import compose, new_serial, organisation_check
from certificates.issuing import Issuer, Order
from certificates.models import batches
from certificates.rendering import TEMPLATES, Issued, open_fonts, page_data
from certificates.status import choose_slots
from foundation.actor import SYSTEM
from foundation.clock import system_clock
from foundation.database import Database
from foundation.encryption import FieldCipher
from keys import Keys
from keys.backends.software import SoftwareBackend
from ledger import Ledger
from signing.models import Approval, Seal
from signing.seals import Seals
from signing.service import Signing

TYPE = "food-business-licence"
AUTHORITY = "11990000MB1A0001X" + organisation_check("11990000MB1A0001X")
URL = "https://bench.yinzheng.test"
BATCH = 100


class _Office:
    """A certificate room with one seal in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        master_key = secrets.token_bytes(32)
        self.database = Database(f"sqlite:///{folder}/bench.db", FieldCipher(master_key))
        self.database.create_all()
        keys = Keys(self.database, SoftwareBackend(master_key), system_clock)
        keys.establish()
        ledger = Ledger(self.database, keys, system_clock, "bench")
        self.seals = Seals(self.database, keys, system_clock)
        with self.database.write() as tx:
            self.seal: Seal = self.seals.register(
                tx,
                owner=AUTHORITY,
                owner_name="示例市市场监督管理局",
                name="示例市市场监督管理局",
                code="9900010000001",
                by=SYSTEM,
                now=system_clock(),
            )
        self.room = Certificates(
            self.database,
            keys,
            Signing(self.seals, keys, system_clock),
            ledger,
            foundation.jobs.open_jobs(self.database, system_clock),
            system_clock,
            Catalogue.load(),
            URL,
        )

    @property
    def issuer(self) -> Issuer:
        return self.room.issuer

    def order(self, kind: CertificateType, number: int) -> Order:
        """An approved content nobody has seen before."""
        fields = {name: field.example for name, field in kind.fields.items()}
        fields["operator_name"] = _name(12)
        fields["business_premises"] = _name(20)
        fields["legal_representative"] = _name(3)
        fields["licence_number"] = f"JY2{number:013d}"
        content = content_of(
            kind,
            fields,
            identifier=str(compose(kind.code, AUTHORITY, new_serial())),
            qr_token=secrets.token_urlsafe(16),
            authority=AUTHORITY,
            authority_name=self.seal.owner_name,
            seal_id=self.seal.id,
            template_hash=self.room.renderer.template_hash,
        )
        approved = system_clock() - timedelta(seconds=1)
        approval = Approval(content.digest, "wang", "li", approved)
        return Order(kind, content, approval, "Li", batch_id=None, draft_id=None)


def run(seconds: float) -> list[Row]:
    """Both rows, about `seconds` each."""
    with TemporaryDirectory() as folder:
        office = _Office(Path(folder))
        try:
            return [_render_and_seal(office, seconds), _json_renditions(office, seconds)]
        finally:
            office.room.close()
            office.room.ledger.close()
            office.database.close()


def _render_and_seal(office: _Office, seconds: float) -> Row:
    """Everything `make` does for a page (credential, code, page, seal) against typst alone."""
    kind = office.room.type(TYPE)
    compiler = typst.Compiler(
        TEMPLATES / kind.layout.template, root=TEMPLATES, font_paths=open_fonts()
    )

    def ours() -> Callable[[], object]:
        order, slot = office.order(kind, 0), choose_slots(office.database, 1, _now())[0]
        return lambda: office.issuer.make(order, office.seal, slot, _now())

    def theirs() -> Callable[[], object]:
        issued = Issued(secrets.token_urlsafe(3000), "YZ1:" + secrets.token_hex(240).upper())
        data = page_data(kind, office.order(kind, 0).content, URL, _now(), issued)
        text = json.dumps(data | {"row_inset": 9}, ensure_ascii=False)
        return lambda: compiler.compile(
            sys_inputs={"data": text}, format="pdf", pdf_standards=["a-3b"]
        )

    mine, floor = _interleaved([ours, theirs], seconds)
    return Row(
        work="render + seal a licence page (all renditions)",
        ours=round(mine * 1000, 2),
        against=round(floor * 1000, 2),
        ratio=round(mine / floor, 3),
        owed="<= 1.15 x typst alone (hard 1.05)",
        unit="ms CPU/document",
    )


def _json_renditions(office: _Office, seconds: float) -> Row:
    """Credentials issued and kept with their ledger entries, per second of one core."""
    definition = office.room.type(TYPE).definition
    kind = CertificateType(msgspec.structs.replace(definition, formats=("dc+sd-jwt",)))
    rates: list[float] = []
    number = 0
    deadline = time.monotonic() + seconds
    _batch_of_rows(office, "bench")
    while time.monotonic() < deadline or len(rates) < 3:
        orders = [
            replace(office.order(kind, number + each), batch_id="bench", batch_row=number + each)
            for each in range(BATCH)
        ]
        number += BATCH
        began = time.process_time()
        slots = choose_slots(office.database, BATCH, _now())
        made = [
            office.issuer.make(order, office.seal, slot, _now())
            for order, slot in zip(orders, slots, strict=True)
        ]
        with office.database.write() as tx:
            office.issuer.keep(tx, made)
        rates.append(BATCH / (time.process_time() - began))
    return Row(
        work="bulk issue, JSON renditions, committed with ledger entries",
        ours=round(statistics.median(rates)),
        against=None,
        ratio=None,
        owed=">= 3000/s per core (hard 7000)",
        unit="certificates/s of CPU",
    )


def _batch_of_rows(office: _Office, batch_id: str) -> None:
    now = _now()
    row = {
        "id": batch_id,
        "type": TYPE,
        "mapping": "",
        "authority": AUTHORITY,
        "authority_name": "",
        "filename": "",
        "file_digest": "",
        "encoding": "",
        "rows": 0,
        "error_count": 0,
        "errors": [],
        "notice_count": 0,
        "notices": [],
        "state": "checked",
        "content_digest": "",
        "drafter": "wang",
        "drafter_name": "",
        "created_at": now,
    }
    with office.database.write() as tx:
        tx.execute(insert(batches).values(**row))


def _interleaved(
    contenders: list[Callable[[], Callable[[], object]]], seconds: float
) -> list[float]:
    """Median CPU seconds of each, taking turns; preparing a turn is not counted."""
    spent: list[list[float]] = [[] for _ in contenders]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(spent[0]) < 10:
        for times, prepare in zip(spent, contenders, strict=True):
            work = prepare()
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
    return [statistics.median(times[len(times) // 10 :]) for times in spent]


def _name(length: int) -> str:
    return "".join(chr(0x4E00 + secrets.randbelow(0x3000)) for _ in range(length))


def _now() -> datetime:
    return datetime.now(UTC)
