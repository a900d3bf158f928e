"""The rival of `bench/verify.py`: the same question answered by a plain FastAPI and ORM service.

Written the way the frameworks' own tutorials teach: `def` routes, a session per request, OAuth 2
bearer tokens checked with PyJWT, pydantic in and out, one commit per request. It is spared what we
do beside: no encryption at rest, no signature over the record, no commitments, no Merkle log; its
audit row is plain and its receipt is a JWT. It is as durable as we are (WAL, synchronous=FULL).

`python -m bench.twin_verify FOLDER ROWS` fills a database, listens on a free port of loopback and
prints {"port": …, "token": …} first.
"""

import json
import socket
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, Field
from sqlalchemy import JSON, create_engine, event, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

ORGANISATION = "11990000MB1A00036B"
PURPOSE = "food-inspection"
BASIS = "law"


class Base(DeclarativeBase):
    """All tables of the twin."""


class Certificate(Base):
    __tablename__ = "certificates"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str]
    authority: Mapped[str]
    subject: Mapped[str]
    fields: Mapped[dict[str, str]] = mapped_column(JSON)
    valid_from: Mapped[date]
    valid_until: Mapped[date]
    state: Mapped[str]


class Purpose(Base):
    __tablename__ = "purposes"

    organisation: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    legal_bases: Mapped[list[str]] = mapped_column(JSON)
    fields: Mapped[list[str]] = mapped_column(JSON)


class Audit(Base):
    __tablename__ = "audit"

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    client: Mapped[str]
    organisation: Mapped[str]
    subject: Mapped[str] = mapped_column(index=True)
    number: Mapped[str]
    purpose: Mapped[str]
    legal_basis: Mapped[str]
    case_ref: Mapped[str]
    verdict: Mapped[str]
    disclosed: Mapped[list[str]] = mapped_column(JSON)


class Question(BaseModel):
    number: str = Field(min_length=1, max_length=128)
    purpose: str = Field(min_length=1, max_length=64)
    legal_basis: str = Field(min_length=1, max_length=200)
    case_ref: str = Field(min_length=1, max_length=100)


class Check(BaseModel):
    name: Literal["status", "validity"]
    result: Literal["pass", "fail", "unknown"]
    code: str


class Answer(BaseModel):
    verdict: str
    checks: list[Check]
    type: str
    issuing_authority: str
    fields: dict[str, str]
    checked_at: datetime
    entry_id: str
    receipt: str


class Caller(BaseModel):
    client_id: str
    organisation: str


def app(folder: Path, rows: int, key: ec.EllipticCurvePrivateKey) -> FastAPI:
    """The twin over a fresh database of `rows` certificates."""
    # As many connections as the framework has threads, and patience: otherwise requests that hold
    # a thread wait for requests that hold a connection, and both give up.
    engine = create_engine(
        f"sqlite:///{folder}/twin.db", pool_size=64, connect_args={"timeout": 30}
    )
    event.listen(engine, "connect", _durable)
    Base.metadata.create_all(engine)
    _fill(engine, rows)
    sessions = sessionmaker(engine)
    service = FastAPI()
    bearer = OAuth2PasswordBearer(tokenUrl="token")

    def session() -> Iterator[Session]:
        with sessions() as opened:
            yield opened

    def caller(token: Annotated[str, Depends(bearer)]) -> Caller:
        try:
            claims = jwt.decode(token, key.public_key(), algorithms=["ES256"], audience="twin")
        except jwt.InvalidTokenError:
            raise HTTPException(401, "invalid token") from None
        if "certificates.verify" not in claims["scope"].split():
            raise HTTPException(403, "scope missing")
        return Caller(client_id=claims["client_id"], organisation=claims["organisation"])

    @service.post("/api/v1/verifications", response_model=Answer)
    def verify(
        question: Question,
        who: Annotated[Caller, Depends(caller)],
        db: Annotated[Session, Depends(session)],
    ) -> Answer:
        now = datetime.now(UTC)
        found = db.scalar(select(Certificate).where(Certificate.number == question.number))
        allowed = found and db.get(Purpose, (who.organisation, question.purpose, found.type))
        permitted = bool(allowed and question.legal_basis in allowed.legal_bases)
        checks = _checks(found, now) if found and permitted else []
        failed = next((check.code for check in checks if check.result == "fail"), None)
        verdict = failed or "valid" if permitted else "not_permitted" if found else "not_found"
        shown = {n: found.fields[n] for n in allowed.fields} if found and allowed else {}
        entry = Audit(
            id=str(uuid.uuid4()),
            at=now,
            client=who.client_id,
            organisation=who.organisation,
            subject=found.subject if found else "",
            number=question.number,
            purpose=question.purpose,
            legal_basis=question.legal_basis,
            case_ref=question.case_ref,
            verdict=verdict,
            disclosed=list(shown),
        )
        db.add(entry)
        db.commit()
        claims: dict[str, Any] = {"jti": entry.id, "iat": now, "verdict": verdict}
        claims |= {"asker": who.organisation, "case": question.case_ref, "disclosed": list(shown)}
        return Answer(
            verdict=verdict,
            checks=checks,
            type=found.type if found and permitted else "",
            issuing_authority=found.authority if found and permitted else "",
            fields=shown,
            checked_at=now,
            entry_id=entry.id,
            receipt=jwt.encode(claims, key, "ES256", {"typ": "receipt+jwt"}),
        )

    return service


def _checks(certificate: Certificate, now: datetime) -> list[Check]:
    active = certificate.state == "active"
    valid = certificate.valid_from <= now.date() <= certificate.valid_until
    return [
        Check(name="status", result="pass" if active else "fail", code=certificate.state),
        Check(name="validity", result="pass" if valid else "fail", code="expired"),
    ]


def _durable(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _fill(engine: Any, rows: int) -> None:
    names: tuple[str, ...] = ("licence_number", "operator_name", "organisation_code")
    names += ("legal_representative",)
    names += ("registered_address", "business_premises", "business_form", "business_items")
    names += ("issue_date", "valid_from", "valid_until")
    today = datetime.now(UTC).date()
    with engine.begin() as connection:
        for start in range(0, rows, 10_000):
            some = [
                {
                    "number": number(at),
                    "type": "food-business-licence",
                    "authority": ORGANISATION,
                    "subject": uuid.uuid4().hex,
                    "fields": {name: f"{name} 示例市 {at}" for name in names},
                    "valid_from": today - timedelta(days=100),
                    "valid_until": today + timedelta(days=1000),
                    "state": "active",
                }
                for at in range(start, min(rows, start + 10_000))
            ]
            connection.execute(insert(Certificate), some)
        granted = {"organisation": ORGANISATION, "code": PURPOSE, "type": "food-business-licence"}
        connection.execute(
            insert(Purpose).values(legal_bases=[BASIS], fields=list(names), **granted)
        )


def number(at: int) -> str:
    """The licence number of row `at`."""
    return f"JY2{at:013d}"


def main() -> None:
    """Serve the twin until a signal says stop."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    key = ec.generate_private_key(ec.SECP256R1())
    service = app(folder, rows, key)
    claims = {
        "aud": "twin",
        "client_id": "bench",
        "organisation": ORGANISATION,
        "scope": "certificates.verify",
        "exp": datetime.now(UTC) + timedelta(hours=2),
    }
    token = jwt.encode(claims, key, "ES256")
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(json.dumps({"port": listener.getsockname()[1], "token": token}), flush=True)
    config = uvicorn.Config(
        service, loop="uvloop", http="httptools", access_log=False, log_level="error"
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
