"""The ledger alone: appending durably, and numbering what was appended.

One process, one event loop, many tasks that each wait for their own commit, as the fast lane does.
Entries are those of a verification: subject, certificate and case are commitments with sealed
openings, which is the dearest kind. SQLite in WAL mode with synchronous=FULL; with PostgreSQL on
this machine also a throw-away cluster with its default durability (its own CPU time not counted).
Every append is counted in the database afterwards.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from bench import Asked, Row
from bench.harness import RowFailed, not_measured
from bench.registers import ISSUER, registers
from bench.services import AUTHORITY, AUTHORITY_NAME, BenchServices
from foundation.actor import Actor, ActorKind
from foundation.clock import system_clock
from ledger import Entry
from ledger.models import ledger_entries, ledger_outbox

APPEND = "ledger append, batched and durable, SQLite after {rows:,}"
APPEND_OWED = "≥ 20,000/s (hard 80,000)"
APPEND_LIMIT = 20_000.0
NUMBER = "ledger: number, hash and sign what was appended, after {rows:,}"
NUMBER_OWED = "≥ 20,000/s"
TASKS = 1_000
EACH = 5
CLIENT = Actor(
    ActorKind.CLIENT,
    "bench",
    name="Bench",
    organisation=AUTHORITY,
    organisation_name=AUTHORITY_NAME,
)


def run(asked: Asked) -> list[Row]:
    """Appending and numbering at every size."""
    rows: list[Row] = []
    with registers(asked) as folders:
        for size, folder in folders.items():
            with _services(folder) as services:
                rows += _measure(services, size, asked.seconds)
    return rows


@contextmanager
def _services(folder: Path) -> Iterator[BenchServices]:
    services = BenchServices(folder, ISSUER)
    try:
        yield services
    finally:
        services.close()


def _measure(services: BenchServices, size: int, seconds: float) -> list[Row]:
    appends: list[float] = []
    numbers: list[float] = []
    before, written = _count(services), 0
    deadline = time.monotonic() + 2 * seconds
    while time.monotonic() < deadline or len(appends) < 5:
        began = time.process_time()
        written += asyncio.run(_append(services))
        appends.append(TASKS * EACH / (time.process_time() - began))
        began = time.process_time()
        numbered = 0
        while done := services.ledger.integrate(4096):
            numbered += done
        numbers.append(numbered / (time.process_time() - began))
    if _count(services) - before != written:
        problem = RowFailed(f"{written} appends, {_count(services) - before} entries")
        return [not_measured(APPEND.format(rows=size), APPEND_OWED, str(problem))]
    return [
        _row(APPEND.format(rows=size), APPEND_OWED, appends),
        _row(NUMBER.format(rows=size), NUMBER_OWED, numbers),
    ]


async def _append(services: BenchServices) -> int:
    async def one(task: int) -> None:
        for at in range(EACH):
            await services.ledger.record(_entry(task * EACH + at))

    await asyncio.gather(*map(one, range(TASKS)))
    return TASKS * EACH


def _entry(at: int) -> Entry:
    """What a verification leaves behind."""
    return Entry(
        kind="verification",
        actor=CLIENT,
        at=system_clock(),
        subject=f"{at:064x}",
        certificate=f"1.2.156.3005.2.{at:024d}",
        purpose="food-inspection",
        legal_basis="《中华人民共和国食品安全法》第一百一十条",
        case_ref=f"2026-{at}",
        verdict="valid",
        disclosed=("licence_number", "operator_name", "valid_until"),
    )


def _row(work: str, owed: str, rates: list[float]) -> Row:
    rate = statistics.median(rates[1:])
    print(f"  {work}: {rate:,.0f}/s ({min(rates):,.0f}–{max(rates):,.0f})", file=sys.stderr)
    return Row(
        work=work,
        ours=rate,
        against=APPEND_LIMIT,
        ratio=rate / APPEND_LIMIT,
        owed=owed,
        unit="entries/CPU s",
    )


def _count(services: BenchServices) -> int:
    with services.database.read() as tx:
        tables = (ledger_outbox, ledger_entries)
        return sum(
            int(tx.execute(select(func.count()).select_from(table)).scalar_one())
            for table in tables
        )
