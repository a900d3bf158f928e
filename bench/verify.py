"""Verification by number and in batches, against the same service written the plain way.

Both sides serve HTTP from one process on one core over a durable SQLite file with the same number
of licences, ask for an access token, commit an audit record before they answer, and sign a receipt.
Ours also verifies the record's signature and seal, encrypts, and commits to a Merkle log; the twin
(`bench/twin_verify.py`) does not. Numbers are drawn over the whole register; no answer is ever
remembered, only that a signature was verified, so licences seen before and never seen are two rows.
Every sampled answer must say "valid".
"""

import base64
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import Asked, Row, sides, twin_verify
from bench.harness import (
    Contender,
    Measured,
    RowFailed,
    Server,
    Traffic,
    collect,
    compare,
    describe,
    free_port,
    http_request,
    not_measured,
    scratch,
    start,
)
from bench.registers import BASIS, ISSUER, PURPOSE, SECRET, registers
from bench.services import number

ONE = "verify by number among {rows:,}, entry committed"
ONE_UNSEEN = "the same for licences not asked about before, {rows:,}"
ONE_OWED = "≥ 12× (hard 20×)"
MANY = "verify in batches of 100 among {rows:,}, per certificate"
MANY_OWED = "≤ 30 µs (hard 18)"
MANY_LIMIT = 30.0
FLAT = "verify by number: {large:,} against {small:,} licences"
FLAT_OWED = "≤ 1.2×"
WARM_UP = 3.0
BATCH = 100
BATCH_CONNECTIONS = 8
DIFFERENT = 300  # numbers, each seen in the warm-up: that a signature holds is remembered
UNSEEN = 20_000  # numbers, more than a run asks: every signature is verified anew
PATH = "/api/v1/verifications"


def run(asked: Asked) -> list[Row]:
    """Single and batch verification at every size, and how the cost grows from size to size."""
    largest = max(asked.rows)
    servers: list[Server] = []
    with scratch() as name, registers(asked) as folders:
        try:
            ours = {size: _serve(folder, size, servers) for size, folder in folders.items()}
            twin = _start_twin(Path(name), largest, servers)
            rows = _singles(ours, twin, asked.seconds)
            return [*rows, *(_many(ours[size], size, asked.seconds) for size in ours)]
        finally:
            for server in servers:
                server.stop()


def _serve(folder: Path, size: int, servers: list[Server]) -> Server:
    server = sides.serve(f"yinzheng {size}", folder, ISSUER, free_port())
    servers.append(server)
    server.facts = {"token": access_token(server.port, (folder / SECRET).read_text())}
    return server


def _start_twin(folder: Path, size: int, servers: list[Server]) -> Server:
    command = [sys.executable, "-m", "bench.twin_verify", str(folder), str(size)]
    twin = start("FastAPI+ORM", command, folder=folder)
    servers.append(twin)
    return twin


def _singles(ours: dict[int, Server], twin: Server, seconds: float) -> list[Measured]:
    """The largest register against the twin, and every smaller one against the largest."""
    sizes = sorted(ours, reverse=True)
    contenders = [_contender(ours[sizes[0]], sizes[0], BASIS, PURPOSE)]
    contenders.append(_contender(twin, sizes[0], twin_verify.BASIS, twin_verify.PURPOSE))
    contenders += [_contender(ours[size], size, BASIS, PURPOSE) for size in sizes[1:]]
    for each in contenders:
        each.warm_up = WARM_UP
    work = ONE.format(rows=sizes[0])
    try:
        comparison = compare(contenders, seconds)
    except RowFailed as problem:
        return [not_measured(work, ONE_OWED, str(problem))]
    rows = [comparison.row(work, ONE_OWED)]
    for at, size in enumerate(sizes[1:], 2):
        name = FLAT.format(large=sizes[0], small=size)
        rows.append(comparison.row(name, FLAT_OWED, at, floor=True))
    print(describe(rows, comparison), file=sys.stderr)
    return [*rows, *_unseen(ours[sizes[0]], twin, sizes[0], seconds)]


def _unseen(ours: Server, twin: Server, size: int, seconds: float) -> list[Measured]:
    """The other end: licences nobody asked about before, each with a signature to verify."""
    work = ONE_UNSEEN.format(rows=size)
    contenders = [
        _contender(ours, size, BASIS, PURPOSE, UNSEEN),
        _contender(twin, size, twin_verify.BASIS, twin_verify.PURPOSE, UNSEEN),
    ]
    try:
        comparison = compare(contenders, seconds)
    except RowFailed as problem:
        return [not_measured(work, "not owed", str(problem))]
    row = comparison.row(work, "not owed")
    print(describe([row], comparison), file=sys.stderr)
    return [row]


def _contender(
    server: Server, size: int, basis: str, purpose: str, different: int = DIFFERENT
) -> Contender:
    choose = random.Random(different)
    reason = {"purpose": purpose, "legal_basis": basis, "case_ref": "2026-417"}
    requests = [
        _request(PATH, server, {"number": number(choose.randrange(size)), **reason})
        for _ in range(different)
    ]
    return Contender(server.name, server, Traffic(requests), _good)


def _many(server: Server, size: int, seconds: float) -> Row:
    """CPU µs per certificate; there is no rival, only what we owe."""
    work, choose = MANY.format(rows=size), random.Random(2)
    reason = {"purpose": PURPOSE, "legal_basis": BASIS, "case_ref": "2026-417"}
    batches = [
        {"numbers": [number(at) for at in _different(choose, size)], **reason} for _ in range(200)
    ]
    requests = [_request(f"{PATH}/batch", server, batch) for batch in batches]
    contender = Contender(server.name, server, Traffic(requests), _all_good)
    try:
        contender.load(1.0, 1.0, BATCH_CONNECTIONS)
        for _ in range(5):
            contender.take_turn(seconds / 5, seconds, BATCH_CONNECTIONS)
    except RowFailed as problem:
        return not_measured(work, MANY_OWED, str(problem))
    each = sorted(contender.turns)[2] / BATCH
    return Row(
        work=work,
        ours=each,
        against=MANY_LIMIT,
        ratio=each / MANY_LIMIT,
        owed=MANY_OWED,
        unit="CPU µs/certificate",
    )


def _different(choose: random.Random, size: int) -> Sequence[int]:
    return choose.sample(range(size), min(BATCH, size))


def _request(path: str, server: Server, question: dict[str, Any]) -> bytes:
    content = json.dumps(question).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.facts['token']}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def access_token(port: int, secret: str) -> str:
    """A token of our own identity provider, asked for as a department's system would."""
    basic = base64.b64encode(f"bench:{secret}".encode()).decode()
    audience = f"{ISSUER}/api/v1"
    body = f"grant_type=client_credentials&scope=certificates.verify&resource={audience}"
    headers = [f"Authorization: Basic {basic}"]
    asked = http_request("POST", "/oauth/token", port, headers=headers, body=body)
    token: str = json.loads(collect(port, [asked], 1)[0])["access_token"]
    return token


def _good(body: bytes) -> None:
    answer = json.loads(body)
    if answer["verdict"] != "valid" or answer["receipt"].count(".") != 2:
        raise ValueError(f"not valid: {answer['verdict']}")


def _all_good(body: bytes) -> None:
    answer = json.loads(body)
    if {item["verdict"] for item in answer["items"]} != {"valid"}:
        raise ValueError("not every certificate of a batch was valid")
