"""Client registration as endpoints (RFC 7591 §3, RFC 7592 §2). They decide nothing.

    POST            /oauth/register                an initial access token    → 201
    GET PUT DELETE  /oauth/register/{client_id}    the registration's token   → 200, 200, 204

Ordinary lane: everything here changes state or is rare. Errors are JSON as RFC 7591 §3.2.2 says.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from foundation.batching import (
    HotAnswer,
    json_answer,
)
from foundation.errors import Malformed, TooLarge
from idp.clients.dynamic_registration import PATH, Registrations
from idp.protocol.errors import (
    InvalidClientMetadata,
    InvalidRequest,
    OAuthError,
    TokenMissing,
)
from idp.web import openapi
from idp.web.rendering import NO_STORE, oauth_error
from keys import InvalidJws
from keys.encoding.jose import parse_object

LONGEST_DOCUMENT = 65_536


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_DOCUMENT:
            raise TooLarge(f"the document is larger than {LONGEST_DOCUMENT} bytes")
    return bytes(body)


Body = Annotated[bytes, Depends(_body)]


def add_routes(routes: APIRouter, registrations: Registrations) -> None:
    """The four endpoints."""

    def register(request: Request, body: Body) -> Response:
        return _answered(
            201, lambda: _told(registrations.register(_token(request), _document(request, body)))
        )

    def read_registration(request: Request, client_id: str) -> Response:
        return _answered(200, lambda: _told(registrations.read(client_id, _token(request))))

    def replace_registration(request: Request, client_id: str, body: Body) -> Response:
        def replace() -> Mapping[str, Any]:
            document = _document(request, body)
            return _told(registrations.replace(client_id, _token(request), document))

        return _answered(200, replace)

    def delete_registration(request: Request, client_id: str) -> Response:
        return _answered(204, lambda: registrations.delete(client_id, _token(request)))

    _told = registrations.described
    one = f"{PATH}/{{client_id}}"
    for method, path, endpoint, status, summary in (
        ("POST", PATH, register, 201, "Register a client (RFC 7591)"),
        ("GET", one, read_registration, 200, "Read a registration (RFC 7592)"),
        ("PUT", one, replace_registration, 200, "Replace a registration (RFC 7592)"),
        ("DELETE", one, delete_registration, 204, "End a registration (RFC 7592)"),
    ):
        routes.add_api_route(
            path,
            endpoint,
            methods=[method],
            name=endpoint.__name__,
            operation_id=endpoint.__name__,
            summary=summary,
            response_class=Response,
            status_code=status,
            openapi_extra=openapi.operation(endpoint.__name__),
        )


def metadata_error(refused: InvalidClientMetadata) -> HotAnswer:
    """RFC 7591 §3.2.2: redirect URIs have an error code of their own; every broken rule is told."""
    redirects = any(each.pointer.startswith("/redirect_uris") for each in refused.errors)
    said = "; ".join(f"{each.pointer}: {each.detail}" for each in refused.errors)
    body = {
        "error": "invalid_redirect_uri" if redirects else "invalid_client_metadata",
        "error_description": said[:2000],
        "errors": [asdict(each) for each in refused.errors],
    }
    return json_answer(body, 400, NO_STORE)


def _answered(status: int, act: Callable[[], Mapping[str, Any] | None]) -> Response:
    try:
        told = act()
        answer = json_answer(told, status, NO_STORE) if told else HotAnswer(status, b"", "")
    except InvalidClientMetadata as refused:
        answer = metadata_error(refused)
    except OAuthError as refused:
        answer = oauth_error(refused)
    return Response(answer.body, answer.status, dict(answer.headers), answer.media_type or None)


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenMissing("the token that allows this is needed in the Authorization header")
    return token


def _document(request: Request, body: bytes) -> Mapping[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InvalidRequest("the body must be application/json")
    try:
        return parse_object(body)
    except (InvalidJws, Malformed, orjson.JSONDecodeError) as problem:
        raise InvalidRequest(f"the body is not one JSON object: {problem}") from None
