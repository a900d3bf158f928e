"""The log as anybody may read it (C2SP tlog-tiles).

    GET /ledger/checkpoint                        the signed tree head (fast lane)
    GET /ledger/keys                              the keys that sign it, one vkey a line
    GET /ledger/tile/{level}/{number}[.p/{w}]     hashes
    GET /ledger/tile/entries/{number}[.p/{w}]     leaves

A tile never changes, so it may be cached for ever; the checkpoint for a second.
"""

import asyncio
import gzip
from typing import Final

from fastapi import APIRouter, Request, Response

from foundation.batching import (
    HotAnswer,
    HotRequest,
    HotRoute,
    mount,
)
from ledger.service import Ledger
from ledger.tiles import TilePath

_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_TAGS: Final = ("ledger",)


def router(ledger: Ledger) -> APIRouter:
    """All routes of the ledger; the checkpoint is the same handler as in `hot_routes`."""
    routes = APIRouter(tags=list(_TAGS))

    @routes.get(
        "/ledger/tile/{path:path}",
        operation_id="ledger_tile",
        summary="A tile of hashes, or a bundle of entries",
        response_class=Response,
    )
    def ledger_tile(path: str, request: Request) -> Response:
        tile = TilePath.parse(path)
        body = ledger.resource(tile)
        headers = {"cache-control": _FOR_EVER, "content-type": _BYTES}
        if tile.level is None:
            headers["vary"] = "accept-encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["content-encoding"] = "gzip"
                body = gzip.compress(body, compresslevel=5, mtime=0)
        return Response(body, headers=headers)

    @routes.get(
        "/ledger/keys",
        operation_id="ledger_keys",
        summary="The keys that sign checkpoints (C2SP vkeys, newest first)",
        response_class=Response,
    )
    def ledger_keys() -> Response:
        lines = "".join(f"{key}\n" for key in ledger.verifier_keys())
        headers = {"cache-control": "public, max-age=300", "content-type": _TEXT}
        return Response(lines, headers=headers)

    mount(routes, hot_routes(ledger))
    return routes


def hot_routes(ledger: Ledger) -> list[HotRoute]:
    """The ledger's fast-lane route."""

    async def checkpoint(_request: HotRequest) -> HotAnswer:
        note = await ledger.latest_checkpoint()
        if note is None:  # before the first entry: sign the empty tree, off the loop
            note = await asyncio.to_thread(ledger.checkpoint)
        return HotAnswer(200, note.encode(), _TEXT, (("cache-control", "public, max-age=1"),))

    return [
        HotRoute(
            "GET",
            "/ledger/checkpoint",
            checkpoint,
            name="ledger_checkpoint",
            summary="The signed tree head (C2SP tlog-checkpoint)",
            tags=_TAGS,
        )
    ]
