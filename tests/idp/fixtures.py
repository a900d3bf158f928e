"""An identity provider behind its own endpoints, a browser, and client programs to drive it."""

import asyncio
from collections.abc import Iterator
from functools import cache

import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from foundation.actor import SYSTEM
from foundation.batching.routes import problem
from foundation.database import Database
from foundation.errors import YinzhengError
from idp import Idp
from idp.accounts.authenticators.password import Passwords
from idp.store.people import set_password
from idp.web.routes import router
from ledger import Ledger
from server.services import assemble
from tests.idp.world import ISSUER, PASSWORD, Http, RelyingParty, World


@pytest.fixture
def idp(database: Database, keys, ledger: Ledger, clock) -> Iterator[Idp]:
    idp = assemble(database=database, keys=keys, clock=clock, issuer=ISSUER, ledger=ledger).idp
    yield idp
    idp.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def app(idp: Idp) -> FastAPI:
    return app_of(idp)


def app_of(idp: Idp) -> FastAPI:
    app = FastAPI()
    app.include_router(router(idp))

    @app.exception_handler(YinzhengError)
    def refuse(_request: Request, error: YinzhengError) -> Response:
        answer = problem(error)
        return Response(answer.body, answer.status, dict(answer.headers), answer.media_type)

    return app


@pytest.fixture
def http(app: FastAPI, runner: asyncio.Runner) -> Http:
    return Http(app, runner)


@pytest.fixture
def world(app: FastAPI, runner: asyncio.Runner, idp: Idp, database: Database, clock) -> World:
    """Chen, who can sign in, and a client program that may ask for her name."""
    chen = idp.people.add(
        "chen",
        "陈静怡",
        None,
        id_number="990001199003070028",
        by=SYSTEM,
        represents=["91990000MA1B00068R"],
    )
    with database.write() as tx:
        set_password(tx, chen.id, hash_of(PASSWORD))
    return World(app, runner, idp, database, clock, chen)


@cache
def hash_of(password: str) -> str:
    """Hashing is slow on purpose; one hash serves every test of the process."""
    return Passwords().hash(password)


@pytest.fixture
def client(world: World) -> RelyingParty:
    """A plain client with a secret, that may refresh and learn a name."""
    return world.client()
