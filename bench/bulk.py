"""Certificates in bulk: a page drawn and sealed against typst alone, and JSON renditions a second.

Every document is different, as in life: typst remembers what it has drawn before. Durable on our
side (SQLite, synchronous=FULL); CPU time of this process, interleaved, the median of each.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import typst

from bench import Asked, Row, inprocess
from bench.harness import scratch
from bench.registers import ISSUER
from bench.services import CHUNK, BenchServices, Office
from certificates.issuing.making import Order
from certificates.issuing.rendering import TEMPLATES, IssuedParts, open_fonts, page_data
from certificates.register.status import Slot, choose_slots
from keys import PendingUses
from signing.models import SealedDocument

RENDER = "render + seal a licence page, B-LT"
RENDER_ALL = "render + seal a licence page, all renditions"
EVERYTHING = "all renditions"
RENDER_OWED = "≤ 1.15× typst alone (hard 1.05)"
BULK = "bulk issue, JSON renditions, committed with ledger entries"
BULK_OWED = "≥ 3,000/s per core (hard 7,000)"
BULK_LIMIT = 3000.0


def run(asked: Asked) -> list[Row]:
    """The rows of `asked.words`, about `asked.seconds` each."""
    rows: list[Row] = []
    with scratch() as name:
        services = BenchServices(Path(name), ISSUER)
        try:
            office = Office.open(services)
            if "render" in asked.words:
                rows += _render_and_seal(office, asked.seconds)
            if "bulk" in asked.words:
                rows.append(_json_renditions(office, asked.seconds))
        finally:
            services.close()
    return rows


def _render_and_seal(office: Office, seconds: float) -> list[Row]:
    """A page drawn and sealed, and everything `make` does for it, against typst alone.

    All three draw the same page: with a credential and an offline code that were really made, since
    their length is what the attachment and the larger symbol cost.
    """
    kind, services = office.services.kind(), office.services
    compiler = typst.Compiler(
        TEMPLATES / kind.layout.template, root=TEMPLATES, font_paths=open_fonts()
    )

    def all_renditions() -> Callable[[], object]:
        order, slot = _order(office)
        return lambda: services.certificates.maker.make(order, office.seal, slot, _now())

    def page_and_seal() -> Callable[[], object]:
        order, issued = _to_draw(office)
        return lambda: _sealed(office, order, issued)

    def typst_alone() -> Callable[[], object]:
        order, issued = _to_draw(office)
        data = page_data(kind, order.content, ISSUER, _now(), issued)
        text = json.dumps(data | {"row_inset": 9}, ensure_ascii=False)
        return lambda: compiler.compile(
            sys_inputs={"data": text}, format="pdf", pdf_standards=["a-3b"]
        )

    spent = inprocess.in_turns(
        {"yinzheng": page_and_seal, EVERYTHING: all_renditions, "typst alone": typst_alone}, seconds
    )
    unit = "CPU ms/document"
    return [
        inprocess.row(RENDER, RENDER_OWED, spent, "typst alone", floor=True, unit=unit),
        inprocess.row(
            RENDER_ALL, "not owed", spent, "typst alone", ours=EVERYTHING, floor=True, unit=unit
        ),
    ]


def _order(office: Office) -> tuple[Order, Slot]:
    now = _now()
    return office.order(office.services.kind(), 0, now), choose_slots(
        office.services.database, 1, now
    )[0]


def _to_draw(office: Office) -> tuple[Order, IssuedParts]:
    """An order, and the credential and the code that its page shows."""
    order, slot = _order(office)
    unseen = replace(order, kind=office.services.kind(["dc+sd-jwt", "cwt-qr"]))
    made = office.services.certificates.maker.make(unseen, office.seal, slot, _now())
    return order, IssuedParts(made.files["dc+sd-jwt"].decode(), made.files["cwt-qr"].decode())


def _sealed(office: Office, order: Order, issued: IssuedParts) -> SealedDocument:
    kind, now = order.kind, _now()
    return office.services.signing.seal_pdf(
        office.seal,
        office.services.certificates.renderer.pdf(kind, order.content, now, issued),
        order.approval,
        content_digest=order.content.digest,
        now=now,
        box=kind.layout.seal_box,
        reason=kind.labels[kind.layout.languages[0]],
        # as `make`: the use of the key is recorded by whoever keeps the document
        pending_uses=PendingUses(),
    )


def _json_renditions(office: Office, seconds: float) -> Row:
    """Credentials issued and kept with their ledger entries, per second of one core."""
    kind, at = office.services.kind(["dc+sd-jwt"]), 0
    rates: list[float] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(rates) < 3:
        now = _now()
        orders = [office.order(kind, row, now) for row in range(at, at + CHUNK)]
        at += CHUNK
        began = time.process_time()
        office.issue(orders, now)
        rates.append(CHUNK / (time.process_time() - began))
    rate = statistics.median(rates)
    print(f"  {BULK}: {rate:,.0f}/s ({min(rates):,.0f}–{max(rates):,.0f})", file=sys.stderr)
    return Row(
        work=BULK,
        ours=rate,
        against=BULK_LIMIT,
        ratio=rate / BULK_LIMIT,
        owed=BULK_OWED,
        unit="certificates/CPU s",
    )


def _now() -> datetime:
    return datetime.now(UTC)
