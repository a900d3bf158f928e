"""Our side of `bench/verify.py`: the real rooms and the real door, over a filled register.

Everything a verification passes through is the product's own: access tokens of `idp`, the fast-lane
door of `server`, the register of `certificates` with really signed credentials, a durable SQLite
file. Pages and background work are left out.

`python -m bench.verify_side FOLDER ROWS` fills a database, listens on a free port of loopback and
prints {"port": …, "token": …} first.
"""

import json
import secrets
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from sqlalchemy import insert

import exchange.http
import idp.http
from certificates import Catalogue, Certificates, CertificateType
from certificates.drafting import content_of
from certificates.identifier import compose, new_serial, organisation_check
from certificates.issuing import Order
from certificates.models import batches
from certificates.status import choose_slots
from exchange import Purposes, Verifications
from foundation.actor import SYSTEM
from foundation.clock import system_clock
from foundation.database import Database
from foundation.encryption import FieldCipher
from foundation.hot import HotRoute
from foundation.jobs import open_jobs
from idp import Client, Idp
from keys import Keys
from keys.backends.software import SoftwareBackend
from ledger import Ledger
from server.access import Access
from server.hotpath import HotPath
from signing import Seal, Seals, Signing
from signing.models import Approval

TYPE = "food-business-licence"
PURPOSE = "food-inspection"
BASIS = "《中华人民共和国食品安全法》第一百一十条"
AUTHORITY = "11990000MB1A0001X" + organisation_check("11990000MB1A0001X")
ASKER = "11990000MB1A00036" + organisation_check("11990000MB1A00036")
URL = "https://bench.yinzheng.test"
CHUNK = 500


class Rooms:
    """The rooms a verification passes through, over one SQLite file in `folder`."""

    def __init__(self, folder: Path) -> None:
        master_key = secrets.token_bytes(32)
        clock = system_clock
        self.database = Database(f"sqlite:///{folder}/ours.db", FieldCipher(master_key))
        self.database.create_all()
        self.keys = Keys(self.database, SoftwareBackend(master_key), clock)
        self.keys.establish()
        self.keys.ensure("exchange.receipts")
        self.ledger = Ledger(self.database, self.keys, clock, "bench")
        self.seals = Seals(self.database, self.keys, clock)
        self.signing = Signing(self.seals, self.keys, clock)
        self.catalogue = Catalogue.load()
        self.certificates = Certificates(
            self.database,
            self.keys,
            self.signing,
            self.ledger,
            open_jobs(self.database, clock),
            clock,
            self.catalogue,
            URL,
        )
        self.idp = Idp(self.database, self.keys, self.ledger, clock, URL)
        self.purposes = Purposes(self.database, self.catalogue)
        self.verifications = Verifications(
            self.database,
            self.certificates,
            self.signing,
            self.ledger,
            self.keys,
            self.purposes,
            clock,
            URL,
        )

    def hot_routes(self) -> list[HotRoute]:
        return [
            *idp.http.hot_routes(self.idp),
            *exchange.http.hot_routes(self.verifications, Access(self.idp)),
        ]

    def register_asker(self) -> str:
        """A client of the asking department; answers its Basic credentials."""
        names = dict.fromkeys(("zh-Hans", "zh-Hant", "en"), "Bench")
        client = Client(
            client_id="bench",
            name=names,
            purpose=names,
            organisation=ASKER,
            organisation_name="示例市食品安全局",
            grant_types=("client_credentials",),
            scopes=("certificates.verify",),
            resources=(self.idp.api_audience,),
        )
        with self.database.write() as tx:
            self.purposes.grant(tx, ASKER, TYPE, PURPOSE)
            return self.idp.clients.register(tx, client, by=SYSTEM).client_secret


def number(at: int) -> str:
    """The licence number of row `at`."""
    return f"JY2{at:013d}"


def fill(rooms: Rooms, rows: int) -> None:
    """Issue `rows` licences for real: signed credential, register row, ledger entry."""
    with rooms.database.write() as tx:
        seal = rooms.seals.register(
            tx,
            owner=AUTHORITY,
            owner_name="示例市市场监督管理局",
            name="示例市市场监督管理局",
            code="9900010000001",
            by=SYSTEM,
            now=system_clock(),
        )
        tx.execute(insert(batches).values(**_batch(system_clock())))
    now = system_clock()  # the seal's certificate begins at a whole second
    known = rooms.catalogue[TYPE]
    kind = CertificateType(msgspec.structs.replace(known.definition, formats=("dc+sd-jwt",)))
    for start in range(0, rows, CHUNK):
        orders = [
            _order(rooms, kind, seal, at, now) for at in range(start, min(rows, start + CHUNK))
        ]
        slots = choose_slots(rooms.database, len(orders), now)
        made = [
            rooms.certificates.issuer.make(order, seal, slot, now)
            for order, slot in zip(orders, slots, strict=True)
        ]
        with rooms.database.write() as tx:
            rooms.certificates.issuer.keep(tx, made)


def _order(rooms: Rooms, kind: CertificateType, seal: Seal, at: int, now: datetime) -> Order:
    fields = {name: field.example for name, field in kind.fields.items()}
    today = now.date()
    fields |= {
        "licence_number": number(at),
        "operator_name": f"示例市第{at}号面馆有限公司",
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
        authority_name=seal.owner_name,
        seal_id=seal.id,
        template_hash="",
    )
    approval = Approval(content.digest, "wang", "li", now)
    return replace(Order(kind, content, approval, "Li"), batch_id="bench", batch_row=at)


def _batch(now: datetime) -> dict[str, Any]:
    words = ["mapping", "authority_name", "filename", "file_digest", "encoding"]
    words += ["content_digest", "drafter_name"]
    return {
        **dict.fromkeys(words, ""),
        "id": "bench",
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


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    """There is nothing behind the fast lane here."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def main(arguments: Sequence[str]) -> None:
    """Serve until a signal says stop."""
    folder, rows = Path(arguments[0]), int(arguments[1])
    rooms = Rooms(folder)
    secret = rooms.register_asker()
    fill(rooms, rows)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    facts = {"port": listener.getsockname()[1], "secret": secret}
    print(json.dumps({**facts, "audience": rooms.idp.api_audience}), flush=True)
    config = uvicorn.Config(
        HotPath(_nowhere, rooms.hot_routes(), https=False),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="error",
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1:])
