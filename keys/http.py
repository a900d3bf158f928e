"""What the key service publishes: keys, certificates, their status, and time-stamps.

    GET  /keys/jwks.json        JWK Set (fast lane)
    GET  /pki/ca.crt            the root certificate, DER
    GET  /pki/{name}.crt        "root-1", "issuing-1": where AIA pointers lead
    GET  /pki/crl/{name}.crl    where CRL distribution points lead
    POST /pki/ocsp              RFC 6960 appendix A; GET /pki/ocsp/{request} is its cacheable form
    POST /tsa                   RFC 3161 §3.4 (fast lane)

Everything here is public and holds no personal data.
"""

import asyncio
import hashlib
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from fastapi import APIRouter, Response

from foundation.batching import (
    HotAnswer,
    HotHandler,
    HotRequest,
    HotRoute,
    mount,
)
from foundation.canonical import b64url
from keys.errors import UnexpectedMediaType
from keys.service import Keys
from keys.timestamping.timestamps import MAX_REQUEST

# Made at the first start of all, with the default algorithm.
FOUNDING_USES: Final = (
    "idp.tokens",
    "exchange.receipts",
    "exchange.notices",
    "certificates.status",
    "certificates.qr",
)
PUBLISHED_USES: Final = (
    *FOUNDING_USES,
    # In the algorithms that a client may want of us; `idp` makes them.
    *("idp.tokens.rs256", "idp.tokens.ps256", "idp.tokens.eddsa"),
)
# Shorter than the publishing period of a staged key (a day), so no verifier misses it.
_JWKS_MAX_AGE: Final = 600
_JWKS_REMEMBERED: Final = 2.0
_OCSP_REPLY: Final = "application/ocsp-response"
_CERTIFICATE: Final = "application/pkix-cert"
_CRL: Final = "application/pkix-crl"


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A binary protocol over POST: its media types, and what to tell who sends something else."""

    request: str
    reply: str
    summary: str
    advice: str


_TIMESTAMPS: Final = _Exchange(
    "application/timestamp-query",
    "application/timestamp-reply",
    "Time-stamp a digest (RFC 3161)",
    "send a DER TimeStampReq, for example from `openssl ts -query`",
)
_OCSP: Final = _Exchange(
    "application/ocsp-request",
    _OCSP_REPLY,
    "Certificate status (RFC 6960)",
    "send a DER OCSPRequest, for example from `openssl ocsp -reqout`",
)


def router(keys: Keys, uses: Sequence[str] = PUBLISHED_USES) -> APIRouter:
    """All routes of the keys; the fast-lane ones are the same handlers as `hot_routes`."""
    routes = APIRouter(tags=["keys"])

    def answer_ca() -> Response:
        return _published(keys.authority.certificate("root"), _CERTIFICATE, 86_400)

    def answer_certificate(name: str) -> Response:
        return _published(keys.authority.certificate(name), _CERTIFICATE, 86_400)

    def answer_crl(name: str) -> Response:
        return _published(keys.authority.crl(name), _CRL, 300)

    def answer_ocsp(request: str) -> Response:
        reply = keys.ocsp.respond(_from_base64(request))
        return _published(reply, _OCSP_REPLY, 3_600)

    for path, endpoint, name, summary in (
        ("/pki/ca.crt", answer_ca, "ca_certificate", "The root certificate (DER)"),
        ("/pki/crl/{name}.crl", answer_crl, "revocation_list", "A revocation list (DER)"),
        ("/pki/{name}.crt", answer_certificate, "authority_certificate", "An authority (DER)"),
        ("/pki/ocsp/{request:path}", answer_ocsp, "ocsp_get", "Certificate status (RFC 6960)"),
    ):
        routes.add_api_route(
            path, endpoint, name=name, operation_id=name, summary=summary, response_class=Response
        )
    mount(routes, hot_routes(keys, uses))
    return routes


def hot_routes(keys: Keys, uses: Sequence[str] = PUBLISHED_USES) -> list[HotRoute]:
    """The fast-lane routes of the keys."""
    return [
        HotRoute(
            "GET",
            "/keys/jwks.json",
            _jwks_handler(keys, tuple(uses)),
            "jwks",
            "Public keys (RFC 7517)",
            tags=("keys",),
            non_blocking=True,
        ),
        _posted(keys, "/tsa", keys.timestamps.respond, _TIMESTAMPS, "timestamp"),
        _posted(keys, "/pki/ocsp", keys.ocsp.respond, _OCSP, "ocsp"),
    ]


def _jwks_handler(keys: Keys, uses: tuple[str, ...]) -> HotHandler:
    """The JWK Set as bytes, read again every two seconds; other processes rotate too."""
    remembered: tuple[float, HotAnswer] | None = None

    async def handler(request: HotRequest) -> HotAnswer:
        nonlocal remembered
        current = remembered
        if current is None or current[0] < time.monotonic():
            body = await asyncio.to_thread(lambda: orjson.dumps(keys.jwks(*uses)))
            current = (time.monotonic() + _JWKS_REMEMBERED, _jwks_answer(body))
            remembered = current
        answer = current[1]
        if request.headers.get("if-none-match") == dict(answer.headers)["etag"]:
            return HotAnswer(304, b"", answer.media_type, answer.headers)
        return answer

    return handler


def _jwks_answer(body: bytes) -> HotAnswer:
    etag = f'"{b64url(hashlib.sha256(body).digest()[:12])}"'
    headers = (("cache-control", f"public, max-age={_JWKS_MAX_AGE}"), ("etag", etag))
    return HotAnswer(200, body, "application/jwk-set+json", headers)


def _posted(
    keys: Keys, path: str, respond: Callable[[bytes], bytes], kind: _Exchange, name: str
) -> HotRoute:
    """A route that takes one DER request and always answers with a DER response."""

    async def handler(request: HotRequest) -> HotAnswer:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != kind.request:
            raise UnexpectedMediaType(f"the body must be {kind.request}", next_step=kind.advice)
        # A thread, because opening a key, asking an HSM or the database may block.
        reply = await keys.on_thread(lambda: respond(request.body))
        return HotAnswer(200, reply, kind.reply, (("cache-control", "no-store"),))

    return HotRoute(
        "POST",
        path,
        handler,
        name,
        kind.summary,
        body_limit=MAX_REQUEST,
        openapi={
            "requestBody": {"required": True, "content": {kind.request: {}}},
            "responses": {"200": {"description": "DER", "content": {kind.reply: {}}}},
        },
        tags=("keys",),
    )


def _from_base64(text: str) -> bytes:
    """The request in a GET path (RFC 6960 appendix A.1); what is not base64 is no request."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _published(data: bytes, media_type: str, max_age: int) -> Response:
    headers = {"cache-control": f"public, max-age={max_age}"}
    return Response(data, media_type=media_type, headers=headers)
