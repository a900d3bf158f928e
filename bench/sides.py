"""The two sides of the OAuth comparison, each as facts: where it listens, who may ask what.

Ours are the real services behind the real fast lane, on a durable SQLite file, seeded through the
real services before the server starts. The rival runs under Node from `bench/rivals/oidc-provider`;
its codes are made by its own classes inside its own process.
"""

import base64
import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from bench.harness import ROOT, RowFailed, Server, free_port, start
from bench.services import BenchServices
from foundation.actor import SYSTEM
from foundation.clock import system_clock
from foundation.ids import uuid7
from idp import Client
from idp.protocol.authorizations import Authorization, Family
from idp.store.digests import sha256
from idp.store.families import StoredCode, add_code
from idp.token.grants.authorization_code import challenge_of, new_code

RIVAL = ROOT / "bench" / "rivals" / "oidc-provider"
RESOURCE = "urn:bench:api"
SCOPE = "records.read"
REDIRECT_URI = "https://client.example/callback"


@dataclass(frozen=True, slots=True)
class Side:
    """A running server, and what its one client needs to know."""

    name: str
    server: Server
    issuer: str
    token: str
    introspection: str
    jwks: str
    client_id: str
    client_secret: str
    code_verifier: str
    codes: Sequence[str]
    version: str

    @property
    def basic(self) -> str:
        """The Authorization header (RFC 6749 §2.3.1)."""
        pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
        return f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"


# --- ours ---------------------------------------------------------------------------------------


def start_ours(folder: Path, codes: int, url: str = "") -> Side:
    """Seed a fresh installation in `folder`, then serve it."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    verifier = secrets.token_urlsafe(32)
    services = BenchServices(folder, issuer, url)
    try:
        secret = _register(services)
        made = _add_codes(services, codes, verifier)
    finally:
        services.close()
    server = serve("yinzheng", folder, issuer, port, url)
    return Side(
        name="yinzheng",
        server=server,
        issuer=issuer,
        token="/oauth/token",
        introspection="/oauth/introspect",
        jwks="/keys/jwks.json",
        client_id="bench",
        client_secret=secret,
        code_verifier=verifier,
        codes=made,
        version="SQLite, WAL, synchronous=FULL",
    )


def serve(name: str, folder: Path, issuer: str, port: int, url: str = "") -> Server:
    """Start a process that serves the register of `folder`."""
    command = [sys.executable, "-m", "bench.serve", str(folder), str(port), issuer]
    return start(name, [*command, url] if url else command, folder=folder, port=port)


def ledger_entries(folder: Path) -> int:
    """How many entries our ledger holds, read past the running server."""
    with sqlite3.connect(f"file:{folder}/rooms.db?mode=ro", uri=True) as file:
        tables = ("ledger_outbox", "ledger_entries")
        counts = [file.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables]
    return sum(counts)


def _register(services: BenchServices) -> str:
    client = Client(
        client_id="bench",
        profile="standard",
        token_endpoint_auth_method="client_secret_basic",
        name=dict.fromkeys(("zh-Hans", "zh-Hant", "en"), "Bench"),
        purpose=dict.fromkeys(("zh-Hans", "zh-Hant", "en"), "Measuring"),
        organisation="11310000000000000B",
        organisation_name="Bench",
        redirect_uris=(REDIRECT_URI,),
        grant_types=("client_credentials", "authorization_code", "refresh_token"),
        scopes=("openid", "offline_access", SCOPE),
        resources=(RESOURCE,),
    )
    with services.database.write() as tx:
        return services.idp.clients.register(tx, client, by=SYSTEM).client_secret


def _add_codes(services: BenchServices, count: int, verifier: str) -> list[str]:
    """Codes as the authorization endpoint makes them, but good for an hour: a run takes longer
    than the sixty seconds a code normally lives."""
    now = system_clock()
    challenge = challenge_of(verifier)
    names = [uuid7(now) for _ in range(count)]
    made = [new_code(name) for name in names]
    with services.database.write() as tx:
        for name, code in zip(names, made, strict=True):
            authorization = Authorization(
                person_id=f"p_{secrets.token_urlsafe(16)}",
                subject=secrets.token_hex(32),
                sid=secrets.token_urlsafe(16),
                scopes=("openid", "offline_access", SCOPE),
                auth_time=int(now.timestamp()),
                acr="password",
                amr=("pwd",),
                resources=(RESOURCE,),
                nonce=secrets.token_urlsafe(16),
            )
            until = now + timedelta(hours=1)
            family = Family(name, "bench", authorization, sha256(code), until)
            add_code(tx, StoredCode(family, REDIRECT_URI, challenge))
    return made


# --- the rival ----------------------------------------------------------------------------------


def start_rival(folder: Path, codes: int) -> Side:
    """oidc-provider, installed from its lock when it is not there yet.

    Raises `RowFailed` when Node.js is missing or the packages cannot be had.
    """
    node = shutil.which("node")
    if node is None:
        raise RowFailed("Node.js was not found: apt-get install nodejs npm")
    _install()
    admin = f"/_{secrets.token_urlsafe(24)}"
    server = start("oidc-provider", [node, "server.mjs", admin], folder=folder, cwd=RIVAL)
    facts = server.facts
    issuer = f"http://127.0.0.1:{server.port}"
    with urlopen(f"{issuer}{admin}/codes?count={codes}", timeout=120) as answer:
        made: list[str] = json.load(answer)
    return Side(
        name="oidc-provider",
        server=server,
        issuer=issuer,
        token="/token",
        introspection="/token/introspection",
        jwks="/jwks",
        client_id=facts["client_id"],
        client_secret=facts["client_secret"],
        code_verifier=facts["code_verifier"],
        codes=made,
        version=facts["version"],
    )


def _install() -> None:
    """`npm ci` into the rival's own folder; its install scripts are not run."""
    if (RIVAL / "node_modules" / "oidc-provider").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise RowFailed("npm was not found: apt-get install npm")
    print("  installing oidc-provider (once)", file=sys.stderr)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=RIVAL, capture_output=True, timeout=300)
    if done.returncode:
        raise RowFailed(f"npm ci failed: {done.stderr.decode(errors='replace')[-300:]}")
