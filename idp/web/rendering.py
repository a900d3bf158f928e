"""How OAuth endpoints answer, shared by `http` and `endpoints`: errors, caching, routes.

- Errors are RFC 6749 §5.2 objects; nothing with a token in it is ever cached (§5.1).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from foundation.batching import (
    HotAnswer,
    HotHandler,
    HotRequest,
    HotRoute,
    json_answer,
    outage,
    parse_form,
)
from foundation.errors import Malformed, TooLarge
from idp.protocol.errors import InvalidRequest, OAuthError
from idp.protocol.resources import REPEATED
from idp.web import openapi

NO_STORE: Final = (("cache-control", "no-store"), ("pragma", "no-cache"))
LONGEST_BODY: Final = 16_384
TAGS: Final = ("identity",)

Read = Callable[[HotRequest], Mapping[str, str]]
Answer = Callable[[HotRequest, Mapping[str, str]], Awaitable[HotAnswer]]


def read_form(request: HotRequest) -> Mapping[str, str]:
    """The parameters; only a resource may come more than once (RFC 6749 §3.2, RFC 8707 §2)."""
    return parse_form(request, REPEATED)


def by_form(answer: Answer, read: Read = read_form) -> HotHandler:
    """A handler that reads a form and turns refusals into RFC 6749 §5.2 answers."""

    async def handler(request: HotRequest) -> HotAnswer:
        try:
            return await answer(request, read(request))
        except OAuthError as refusal:
            return oauth_error(refusal)
        except (Malformed, TooLarge) as problem:
            return oauth_error(InvalidRequest(problem.detail))
        except Exception as failure:
            busy = outage(failure)
            if busy is None:
                raise
            body = {"error": "temporarily_unavailable", "error_description": busy.detail}
            headers = (*NO_STORE, ("retry-after", str(busy.retry_after)))
            return json_answer(body, 503, headers)

    return handler


def oauth_error(refusal: OAuthError) -> HotAnswer:
    """A refusal as JSON with its status and headers, never cached (RFC 6749 §5.2)."""
    return json_answer(refusal.body(), refusal.status, (*NO_STORE, *refusal.headers()))


def route(method: str, path: str, handler: HotHandler, name: str, summary: str) -> HotRoute:
    """A fast-lane route of the identity provider, described for OpenAPI by its `name`."""
    told = openapi.operation(name)
    return HotRoute(method, path, handler, name, summary, LONGEST_BODY, told, TAGS)
