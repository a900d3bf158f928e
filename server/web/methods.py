"""Which methods an address takes: `Allow`, and the answer to OPTIONS (RFC 9110 §9.3.7, §10.2.1).

The table of routes is the only source, so that what is told is what is there. The fast lane's
routes are in it too, as their twins.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import Match

from server.web import cors

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")


def allowed(app: FastAPI, scope: Scope) -> list[str]:
    """Every method that the address of `scope` takes, sorted; [] where there is no address.

    The framework names those of the first route that fits, and an address may have several.
    """
    taken = {
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.routes)
    }
    if not taken:
        return []
    return sorted(taken | {"OPTIONS"} | ({"HEAD"} if "GET" in taken else set()))


class Options:
    """Answers OPTIONS at every address that is there, and hands everything else to `app`."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """204 with `Allow`, and what a script's preflight asks where scripts may ask."""
        methods = allowed(self._app, scope) if scope.get("method") == "OPTIONS" else []
        if not methods:
            await self._app(scope, receive, send)
            return
        headers = [(b"allow", ", ".join(methods).encode())]
        if cors.is_open(scope["path"]):
            headers += cors.preflight(dict(scope["headers"]), methods)
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
