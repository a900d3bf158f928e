"""Certificates in bulk: a page drawn and sealed against typst alone, and JSON renditions a second.

Every document is different, as in life: typst remembers what it has drawn before. Durable on our
side (SQLite, synchronous=FULL); CPU time of this process, interleaved, the median of each.
"""

import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import typst

from bench import Asked, Row, inprocess
from bench.harness import scratch
from bench.registers import ISSUER
from bench.rooms import CHUNK, Office, Rooms
from certificates.rendering import TEMPLATES, Issued, open_fonts, page_data
from certificates.status import choose_slots

RENDER = "render + seal a licence page, all renditions"
RENDER_OWED = "≤ 1.15× typst alone (hard 1.05)"
BULK = "bulk issue, JSON renditions, committed with ledger entries"
BULK_OWED = "≥ 3,000/s per core (hard 7,000)"
BULK_LIMIT = 3000.0


def run(asked: Asked) -> list[Row]:
    """The rows of `asked.words`, about `asked.seconds` each."""
    rows: list[Row] = []
    with scratch() as name:
        rooms = Rooms(Path(name), ISSUER)
        try:
            office = Office.open(rooms)
            if "render" in asked.words:
                rows.append(_render_and_seal(office, asked.seconds))
            if "bulk" in asked.words:
                rows.append(_json_renditions(office, asked.seconds))
        finally:
            rooms.close()
    return rows


def _render_and_seal(office: Office, seconds: float) -> Row:
    """Everything `make` does for a page (credential, code, page, seal) against typst alone."""
    kind, issuer = office.rooms.kind(), office.rooms.certificates.issuer
    compiler = typst.Compiler(
        TEMPLATES / kind.layout.template, root=TEMPLATES, font_paths=open_fonts()
    )

    def ours() -> Callable[[], object]:
        slot = choose_slots(office.rooms.database, 1, _now())[0]
        order = office.order(kind, 0, _now())
        return lambda: issuer.make(order, office.seal, slot, _now())

    def typst_alone() -> Callable[[], object]:
        issued = Issued(secrets.token_urlsafe(3000), "YZ1:" + secrets.token_hex(240).upper())
        content = office.order(kind, 0, _now()).content
        data = page_data(kind, content, ISSUER, _now(), issued)
        text = json.dumps(data | {"row_inset": 9}, ensure_ascii=False)
        return lambda: compiler.compile(
            sys_inputs={"data": text}, format="pdf", pdf_standards=["a-3b"]
        )

    spent = inprocess.in_turns({"yinzheng": ours, "typst alone": typst_alone}, seconds)
    return inprocess.row(
        RENDER, RENDER_OWED, spent, "typst alone", floor=True, unit="CPU ms/document"
    )


def _json_renditions(office: Office, seconds: float) -> Row:
    """Credentials issued and kept with their ledger entries, per second of one core."""
    kind, at = office.rooms.kind(["dc+sd-jwt"]), 0
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
