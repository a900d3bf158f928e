"""Logos of clients, from our own origin: `img-src 'self'` is all that a page needs.

The address holds the digest of the picture, so a browser may keep it for ever; a client that
changes its logo gets another address.
"""

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from idp.clients.service import Clients
from idp.web import openapi

PATH: Final = "/oauth/logos"
_HEADERS: Final = {
    "cache-control": "public, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


def add_route(routes: APIRouter, clients: Clients) -> None:
    """`GET /oauth/logos/{client_id}/{digest}.png`."""

    def logo(client_id: str, digest: str) -> Response:
        return Response(clients.logo(client_id, digest), media_type="image/png", headers=_HEADERS)

    routes.add_api_route(
        f"{PATH}/{{client_id}}/{{digest}}.png",
        logo,
        methods=["GET"],
        name="logo",
        operation_id="logo",
        summary="The logo of a client, as the consent page shows it",
        response_class=Response,
        openapi_extra=openapi.operation("logo"),
    )
