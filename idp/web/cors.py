"""Which endpoints a script in a browser may call from its own origin (CORS, Fetch §3.2).

Apps that run in a browser are clients of the profile `public`: they call the token endpoint and
what belongs to it themselves. Any origin may, because nothing there looks at a cookie: without a
code, a verifier, a key and a token a stranger's script learns what anybody learns. The
authorization endpoint, which does look at cookies, is not among them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from foundation.batching import (
    HotAnswer,
    HotHandler,
    HotRequest,
    HotRoute,
)

_ANSWER: Final = (
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "DPoP-Nonce, WWW-Authenticate"),
)
_PREFLIGHT: Final = (
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, POST"),
    ("access-control-allow-headers", "Authorization, Content-Type, DPoP"),
    ("access-control-max-age", "3600"),
)


def open_to_scripts(routes: Sequence[HotRoute]) -> list[HotRoute]:
    """The same routes with the headers a browser waits for, and one preflight answer a path."""
    opened = [replace(route, handler=_opened(route.handler)) for route in routes]
    by_path = {route.path: route for route in routes}
    asked = [
        replace(
            route,
            method="OPTIONS",
            handler=_preflight,
            name=f"{route.name}_preflight",
            summary="May a script call this? (CORS)",
            openapi={},
        )
        for route in by_path.values()
    ]
    return [*opened, *asked]


def _opened(handler: HotHandler) -> HotHandler:
    async def answer(request: HotRequest) -> HotAnswer:
        given = await handler(request)
        given.headers = (*given.headers, *_ANSWER)
        return given

    return answer


async def _preflight(_request: HotRequest) -> HotAnswer:
    return HotAnswer(204, b"", headers=_PREFLIGHT)
