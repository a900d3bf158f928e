"""How long after a revocation does a stranger see it? Wall-clock time, over HTTP.

The revocation is a use case of its own (`Certificates.change_state`: state, status slot and ledger
entry in one durable commit) in one process; the list of 2^20 slots is asked from another process
right after it, and must carry the new bit in the very first answer. Fifty thousand slots of the
list are taken by earlier revocations, so that it does not compress to nothing.
"""

import json
import random
import statistics
import sys
import time
import zlib
from http.client import HTTPConnection
from pathlib import Path

from sqlalchemy import insert, select, update

from bench import Asked, Row, sides
from bench.harness import RowFailed, Server, free_port, not_measured
from bench.registers import ISSUER, registers
from bench.services import AUTHORITY, AUTHORITY_NAME, BenchServices
from certificates import State
from certificates.models import certificates, status_changes, status_lists
from certificates.register.status import SIZE, get
from foundation.actor import Actor, ActorKind
from foundation.canonical import b64url_decode
from foundation.clock import system_clock

WORK = "revoke → visible in a list of 2^20, among {rows:,}"
OWED = "≤ 1000 ms (hard 100)"
LIMIT = 1000.0
EARLIER = 50_000
FEWEST = 10
OFFICER = Actor(
    ActorKind.PERSON,
    "li",
    name="Li",
    organisation=AUTHORITY,
    organisation_name=AUTHORITY_NAME,
    roles=frozenset({"approver"}),
)


def run(asked: Asked) -> list[Row]:
    """One row for each size of the register."""
    with registers(asked) as folders:
        return [_measure(folder, size, asked.seconds) for size, folder in folders.items()]


def _measure(folder: Path, size: int, seconds: float) -> Row:
    work = WORK.format(rows=size)
    services = BenchServices(folder, ISSUER)
    server = sides.serve(f"status {size}", folder, ISSUER, free_port())
    try:
        _revoke_many(services)
        waits = _revocations(services, server, seconds)
    except RowFailed as problem:
        return not_measured(work, OWED, str(problem))
    finally:
        server.stop()
        services.close()
    middle = statistics.median(waits)
    print(
        f"  {work}: {middle:.0f} ms, at most {max(waits):.0f}, {len(waits)} times", file=sys.stderr
    )
    return Row(
        work=work, ours=middle, against=LIMIT, ratio=middle / LIMIT, owed=OWED, unit="ms wall"
    )


def _revocations(services: BenchServices, server: Server, seconds: float) -> list[float]:
    waits: list[float] = []
    victims = iter(_active(services, 10_000))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(waits) < FEWEST:
        identifier, list_id, index = next(victims)
        began = time.perf_counter()
        services.certificates.change_state(OFFICER, identifier, State.REVOKED, "serious_violation")
        seen = _published_value(server, list_id, index)
        waits.append((time.perf_counter() - began) * 1000)
        if seen == 0:
            raise RowFailed("the list's first answer after the commit did not say it")
    return waits


def _published_value(server: Server, list_id: int, index: int) -> int:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", f"/status-lists/{list_id}")
    token = connection.getresponse().read().decode()
    connection.close()
    claims = json.loads(b64url_decode(token.split(".")[1]))
    return get(zlib.decompress(b64url_decode(claims["status_list"]["lst"])), index)


def _active(services: BenchServices, count: int) -> list[tuple[str, int, int]]:
    c = certificates.c
    query = select(c.identifier, c.status_list, c.status_index).where(c.state == State.ACTIVE)
    with services.database.read() as tx:
        return [(each[0], each[1], each[2]) for each in tx.execute(query.limit(count))]


def _revoke_many(services: BenchServices) -> None:
    """History of the first list: slots without a certificate, so nobody's state is touched."""
    now, choose = system_clock(), random.Random(3)
    with services.database.write() as tx:
        c = certificates.c
        taken = set(tx.execute(select(c.status_index).where(c.status_list == 1)).scalars())
        slots = [slot for slot in choose.sample(range(SIZE), EARLIER) if slot not in taken]
        first = status_lists.c.id == 1
        version = tx.execute(select(status_lists.c.version).where(first)).scalar_one()
        changes = [
            {"list_id": 1, "version": version + at, "slot": slot, "value": 1, "at": now}
            for at, slot in enumerate(slots, 1)
        ]
        tx.execute(insert(status_changes), changes)
        tx.execute(update(status_lists).where(first).values(version=version + len(slots)))
