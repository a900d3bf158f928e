"""The token endpoint and its neighbours, against panva's oidc-provider in the same run.

State of the two sides, so that nobody compares what is not comparable:

    ours            SQLite, WAL, synchronous=FULL; every token answer leaves after the commit of its
                    ledger entry; client secrets as HMAC-SHA-256, codes as SHA-256, of a refresh
                    token its number; access tokens revocable, so introspection asks the database
                    each time
    oidc-provider   a Map (its fairest case: nothing is durable); secrets in memory, compared in
                    constant time; its JWT access tokens cannot be introspected or revoked, so its
                    introspection row is about opaque ones

Both: one process on one core, ES256, JWT access tokens for a resource (RFC 8707), client_secret_
basic, 64 keep-alive connections. The ledger's integrator runs elsewhere (a worker process).
After each row that owes entries the ledger is counted: fewer entries than answers fail the row.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import jwt

from bench import Asked, Row, sides
from bench.generator import Follow
from bench.harness import (
    CONNECTIONS,
    Contender,
    Measured,
    RowFailed,
    Server,
    Traffic,
    collect,
    compare,
    describe,
    http_request,
    not_measured,
    scratch,
    start,
)
from bench.sides import RESOURCE, SCOPE, Side

CODES_PER_SECOND = 3_000
JIT_SECONDS = 3.0  # until oidc-provider is as fast as it gets
MORE_TOKENS_THAN_REMEMBERED = 9_000  # VerifiedSignatures holds 8,192; it forgets the oldest first


@dataclass(frozen=True, slots=True)
class Work:
    """One line of the table: what each side is asked, and how an answer is recognised as good."""

    word: str
    name: str
    owed: str
    traffic: Callable[[Side], Traffic]
    check: Callable[["Checks"], Callable[[bytes], object]]
    floor: str = ""  # a path of bench/floors.py
    floor_owed: str = ""
    entries: bool = False  # one ledger entry per answer is owed


def run(asked: Asked) -> list[Row]:
    """Measure the rows of `asked.words`, each side about `asked.seconds` per row."""
    rows: list[Row] = []
    works = [work for work in WORKS if work.word in asked.words]
    codes = 0
    if {"code", "refresh"} & set(asked.words):
        of_seconds = asked.seconds + min(JIT_SECONDS, asked.seconds)
        codes = max(200, int(CODES_PER_SECOND * of_seconds)) + CONNECTIONS
    with scratch() as name, _servers(Path(name), codes) as (ours, rival, floors):
        for work in works:
            try:
                rows += _measure(work, asked.seconds, Path(name), ours, rival, floors)
            except RowFailed as problem:
                rows.append(not_measured(work.name, work.owed, str(problem)))
    return rows


@contextmanager
def _servers(folder: Path, codes: int) -> Iterator[tuple[Side, Side | None, Server]]:
    started: list[Server] = []
    try:
        ours = sides.start_ours(folder, codes)
        started.append(ours.server)
        rival = None
        try:
            rival = sides.start_rival(folder, codes)
            started.append(rival.server)
            print(f"  against {rival.version}; ours on {ours.version}", file=sys.stderr)
        except RowFailed as problem:
            print(f"  oidc-provider: not measured ({problem})", file=sys.stderr)
        floors = start("floors", [sys.executable, "-m", "bench.floors"], folder=folder)
        started.append(floors)
        yield ours, rival, floors
    finally:
        for server in started:
            server.stop()


def _measure(
    work: Work, seconds: float, folder: Path, ours: Side, rival: Side | None, floors: Server
) -> list[Measured]:
    before = sides.ledger_entries(folder)
    contenders = [_contender(work, ours)]
    if rival is not None:
        contenders.append(_contender(work, rival))
        contenders[1].warm_up = JIT_SECONDS
    setting_up = sides.ledger_entries(folder) - before
    if work.floor:
        request = http_request("GET", work.floor, floors.port)
        contenders.append(Contender("floor", floors, Traffic([request])))
    comparison = compare(contenders, seconds)
    written = sides.ledger_entries(folder) - before - setting_up
    if work.entries and written != contenders[0].answers:
        raise RowFailed(f"{contenders[0].answers} answers, but {written} ledger entries")
    rows = [
        comparison.row(work.name, work.owed)
        if rival is not None
        else not_measured(work.name, work.owed, "no rival")
    ]
    if work.floor_owed:
        name = f"{work.word}: fraction of the raw ASGI floor"
        rows.append(comparison.row(name, work.floor_owed, len(contenders) - 1))
    print(describe(rows, comparison), file=sys.stderr)
    return rows


def _contender(work: Work, side: Side) -> Contender:
    return Contender(side.name, side.server, work.traffic(side), work.check(Checks(side)))


# --- what is asked ------------------------------------------------------------------------------


def _post(side: Side, path: str, **form: str) -> bytes:
    body = urlencode(form)
    return http_request("POST", path, side.server.port, headers=[side.basic], body=body)


def _token_request(side: Side, **more: str) -> bytes:
    form = {"grant_type": "client_credentials", "scope": SCOPE, **more}
    return _post(side, side.token, **form)


def _codes(side: Side) -> Traffic:
    return Traffic([_code_request(side, code) for code in side.codes[CONNECTIONS:]], once=True)


def _code_request(side: Side, code: str) -> bytes:
    return _post(
        side,
        side.token,
        grant_type="authorization_code",
        code=code,
        redirect_uri=sides.REDIRECT_URI,
        code_verifier=side.code_verifier,
    )


def _refreshes(side: Side) -> Traffic:
    """Every connection is a client that keeps refreshing with the token it got last."""
    requests = [_code_request(side, code) for code in side.codes[:CONNECTIONS]]
    answers = collect(side.server.port, requests, len(requests))
    before = b"grant_type=refresh_token&refresh_token="
    head = _post(side, side.token, x="").partition(b"Content-Length: ")[0]
    follow = Follow(head + b"Content-Length: %d\r\n\r\n", before, b"", b"refresh_token")
    return Traffic([follow.value(answer) for answer in answers], follow=follow)


def _introspections(tokens: int) -> Callable[[Side], Traffic]:
    """`tokens` different live tokens in turn; oidc-provider knows only opaque ones."""

    def traffic(side: Side) -> Traffic:
        resource = {"resource": RESOURCE} if side.name == "yinzheng" else {}
        bodies = collect(side.server.port, [_token_request(side, **resource)], tokens)
        asked = [json.loads(body)["access_token"] for body in bodies]
        return Traffic([_post(side, side.introspection, token=token) for token in asked])

    return traffic


def _get(path: Callable[[Side], str]) -> Callable[[Side], Traffic]:
    return lambda side: Traffic([http_request("GET", path(side), side.server.port)])


# --- what a good answer is ----------------------------------------------------------------------


class Checks:
    """Validates sampled bodies with somebody else's library (PyJWT). They raise `ValueError`."""

    def __init__(self, side: Side) -> None:
        self._side = side
        with urlopen(f"{side.issuer}{side.jwks}", timeout=10) as answer:
            self._keys = {each["kid"]: jwt.PyJWK(each) for each in json.load(answer)["keys"]}

    def access_token(self, body: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(body)
        claims = self._claims(answer["access_token"], RESOURCE, "at+jwt")
        if claims["client_id"] != self._side.client_id or claims["scope"].find(SCOPE) < 0:
            raise ValueError(f"the access token says something else: {claims}")
        return answer

    def all_tokens(self, body: bytes) -> None:
        answer = self.access_token(body)
        self._claims(answer["id_token"], self._side.client_id, None)
        if len(answer["refresh_token"]) < 43:
            raise ValueError("the refresh token is too short to be one")

    def active(self, body: bytes) -> None:
        if json.loads(body).get("active") is not True:
            raise ValueError(f"not active: {body!r}")

    def jwks(self, body: bytes) -> None:
        if not any(each["kty"] == "EC" for each in json.loads(body)["keys"]):
            raise ValueError("no EC key in the JWK Set")

    def discovery(self, body: bytes) -> None:
        if json.loads(body)["issuer"] != self._side.issuer:
            raise ValueError("the issuer is not the one we asked")

    def _claims(self, token: str, audience: str, typ: str | None) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if typ and header["typ"] != typ:
            raise ValueError(f"the token's typ is {header['typ']}")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys[header["kid"]],
                algorithms=["ES256"],
                audience=audience,
                issuer=self._side.issuer,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.PyJWTError as problem:
            raise ValueError(f"the token does not verify: {problem}") from None
        return claims


WORKS = (
    Work(
        "token",
        "client_credentials: ES256 JWT, ledger entry committed",
        "≥ 2× (hard 3×)",
        lambda side: Traffic([_token_request(side, resource=RESOURCE)]),
        lambda checks: checks.access_token,
        floor="/token",
        floor_owed="≥ 0.45",
        entries=True,
    ),
    Work(
        "code",
        "code exchange with PKCE: access + ID + refresh token",
        "≥ 2× (hard 3.5×)",
        _codes,
        lambda checks: checks.all_tokens,
        entries=True,
    ),
    Work(
        "refresh",
        "refresh with rotation: access + ID + refresh token",
        "≥ 2× (hard 3×)",
        _refreshes,
        lambda checks: checks.all_tokens,
        entries=True,
    ),
    Work(
        "introspect",
        "introspection, verifying each time",
        "≥ 1.5× (hard 2×)",
        _introspections(MORE_TOKENS_THAN_REMEMBERED),
        lambda checks: checks.active,
    ),
    Work(
        "introspect",
        "introspection of a token seen before",
        "≥ 5× (hard 6×)",
        _introspections(CONNECTIONS),
        lambda checks: checks.active,
    ),
    Work(
        "jwks",
        "JWKS",
        "≥ 2.5× (hard 3.3×)",
        _get(lambda side: side.jwks),
        lambda checks: checks.jwks,
        floor="/json",
        floor_owed="≥ 0.9",
    ),
    Work(
        "discovery",
        "discovery",
        "≥ 4× (hard 5×)",
        _get(lambda side: "/.well-known/openid-configuration"),
        lambda checks: checks.discovery,
    ),
)
