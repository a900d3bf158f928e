"""Verification by number and in batches, against the same service written the plain way.

Both sides serve HTTP from one process on one core over a durable SQLite file with the same number
of licences, ask for an access token, commit an audit record before they answer, and sign a receipt.
Ours also verifies the record's signature and seal, encrypts, and commits to a Merkle log; the twin
(`bench/twin_verify.py`) does not. Numbers are asked at random; no answer is ever remembered, and
every sampled answer must say "valid".
"""

import base64
import json
import random
import sys
from pathlib import Path
from typing import Any

from bench import Row, twin_verify, verify_side
from bench.harness import (
    Contender,
    Measured,
    RowFailed,
    Server,
    Traffic,
    collect,
    compare,
    describe,
    not_measured,
    scratch,
    start,
)

ONE = "verify by number among {rows:,}, entry committed"
ONE_OWED = "12x the plain FastAPI+ORM twin (hard 20x)"
MANY = "batch of 100, per certificate"
MANY_OWED = "<= 30 µs (hard 18)"
BATCH = 100
BATCH_CONNECTIONS = 8
DIFFERENT = 1_000  # numbers; each side cycles through them
PATH = "/api/v1/verifications"


def run(seconds: float) -> list[Row]:
    """Two rows, each side about `seconds` per row, after filling two registers."""
    rows = rows_for(seconds)
    with scratch() as name:
        servers: list[Server] = []
        try:
            ours = _start("verify_side", Path(name), rows, servers)
            twin = _start("twin_verify", Path(name), rows, servers)
            return [_one(ours, twin, rows, seconds), _many(ours, rows, seconds)]
        finally:
            for server in servers:
                server.stop()


def rows_for(seconds: float) -> int:
    """How many licences to ask among: filling takes about half a millisecond for each."""
    if seconds >= 60:
        return 1_000_000
    return 100_000 if seconds >= 10 else 10_000


def _start(module: str, folder: Path, rows: int, servers: list[Server]) -> Server:
    command = [sys.executable, "-m", f"bench.{module}", str(folder), str(rows)]
    server = start(module, command, folder=folder)
    servers.append(server)
    return server


def _one(ours: Server, twin: Server, rows: int, seconds: float) -> Measured:
    work = ONE.format(rows=rows)
    try:
        token = _access_token(ours)
        mine = Traffic(_singles(ours, token, verify_side, rows))
        theirs = Traffic(_singles(twin, twin.facts["token"], twin_verify, rows))
        contenders = [
            Contender("yinzheng", ours, mine, _good),
            Contender("FastAPI+ORM", twin, theirs, _good),
        ]
        comparison = compare(contenders, seconds)
    except RowFailed as problem:
        return not_measured(work, ONE_OWED, str(problem))
    row = comparison.row(work, ONE_OWED)
    print(describe([row], comparison), file=sys.stderr)
    return row


def _many(ours: Server, rows: int, seconds: float) -> Row:
    """CPU µs per certificate; there is no rival, only what we owe."""
    token = _access_token(ours)
    choose = random.Random(2)
    bodies = [
        {"numbers": [verify_side.number(choose.randrange(rows)) for _ in range(BATCH)]}
        for _ in range(200)
    ]
    requests = [_request(f"{PATH}/batch", ours, token, verify_side, body) for body in bodies]
    contender = Contender("yinzheng", ours, Traffic(requests), _all_good)
    try:
        contender.load(1.0, 1.0, BATCH_CONNECTIONS)
        for _ in range(5):
            contender.take_turn(seconds / 5, seconds, BATCH_CONNECTIONS)
    except RowFailed as problem:
        return not_measured(MANY, MANY_OWED, str(problem))
    each = sorted(contender.turns)[2] / BATCH
    return Row(work=MANY, ours=each, against=30.0, ratio=each / 30.0, owed=MANY_OWED, unit="CPU µs")


def _singles(server: Server, token: str, side: Any, rows: int) -> list[bytes]:
    choose = random.Random(1)
    numbers = [side.number(choose.randrange(rows)) for _ in range(DIFFERENT)]
    return [_request(PATH, server, token, side, {"number": number}) for number in numbers]


def _request(path: str, server: Server, token: str, side: Any, body: dict[str, Any]) -> bytes:
    reason = {"purpose": side.PURPOSE, "legal_basis": side.BASIS, "case_ref": "2026-417"}
    content = json.dumps({**body, **reason}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _access_token(ours: Server) -> str:
    """A token of our own identity provider, asked for as a department's system would."""
    secret, audience = ours.facts["secret"], ours.facts["audience"]
    basic = base64.b64encode(f"bench:{secret}".encode()).decode()
    body = (f"grant_type=client_credentials&scope=certificates.verify&resource={audience}").encode()
    head = (
        f"POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1:{ours.port}\r\n"
        f"Authorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    token: str = json.loads(collect(ours.port, [head.encode() + body], 1)[0])["access_token"]
    return token


def _good(body: bytes) -> None:
    answer = json.loads(body)
    if answer["verdict"] != "valid" or answer["receipt"].count(".") != 2:
        raise ValueError(f"not valid: {answer['verdict']}")


def _all_good(body: bytes) -> None:
    answer = json.loads(body)
    if {item["verdict"] for item in answer["items"]} != {"valid"}:
        raise ValueError("not every certificate of a batch was valid")
