"""Departments' systems at our door: a `Require` that knows actors by bearer text, and requests."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from httpx import ASGITransport, AsyncClient
from httpx import Response as Answer

from exchange import Verifications, http
from foundation.actor import Actor
from foundation.batching.routes import HotAnswer, HotRequest, problem
from foundation.errors import Refused, Unauthenticated, YinzhengError


class Bearers:
    """Implements `foundation.batching.routes.Require`: the bearer text is the client's id."""

    def __init__(self, *actors: Actor) -> None:
        self._actors = {actor.id: actor for actor in actors}

    def __call__(self, *scopes: str) -> Callable[..., Awaitable[Actor]]:
        async def dependency(request: Request) -> Actor:
            return self._find(dict(request.headers), scopes)

        return dependency

    async def hot(self, request: HotRequest, *scopes: str) -> Actor:
        return self._find(request.headers, scopes)

    def _find(self, headers: Mapping[str, str], scopes: tuple[str, ...]) -> Actor:
        actor = self._actors.get(headers.get("authorization", "").removeprefix("Bearer "))
        if actor is None:
            raise Unauthenticated("no access token")
        if not all(map(actor.may, scopes)):
            raise Refused("the scope is missing")
        return actor


class Door:
    """The exchange's routes in a framework application of their own, asked one by one."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str, **more: Any) -> Answer:
        return asyncio.run(self._ask("GET", path, **more))

    def post(self, path: str, **more: Any) -> Answer:
        return asyncio.run(self._ask("POST", path, **more))

    async def _ask(self, method: str, path: str, **more: Any) -> Answer:
        transport = ASGITransport(self._app)
        async with AsyncClient(transport=transport, base_url="https://yinzheng.test") as client:
            return await client.request(method, path, **more)


def door(verifications: Verifications, *actors: Actor) -> Door:
    app = FastAPI()
    app.include_router(http.router(verifications, Bearers(*actors)))

    @app.exception_handler(YinzhengError)
    def _problem(_request: Request, error: YinzhengError) -> JSONResponse:
        answer: HotAnswer = problem(error)
        return JSONResponse(
            orjson.loads(answer.body), answer.status, media_type="application/problem+json"
        )

    return Door(app)


def bearing(actor: Actor, **headers: str) -> dict[str, Any]:
    return {"authorization": f"Bearer {actor.id}", **headers}
