"""The exchange's machine interface.

    POST /api/v1/verifications          one certificate: number, file or QR text   (fast lane)
    POST /api/v1/verifications/batch    up to 100 numbers, one receipt             (fast lane)
    GET  /api/v1/receipts/{id}          the receipt file; `?wait=proof` waits a second for the proof
    GET  /api/v1/purposes               what your department may ask, and why

A bad certificate is a good answer: 200, and the verdict says so. With an `Idempotency-Key` the same
request is answered once and repeated for a day ("idempotency-replayed: true"); another body under
the same key is refused.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeVar

import orjson
from fastapi import APIRouter, Depends, Response
from fastapi.concurrency import run_in_threadpool

from exchange import openapi
from exchange.messages import BatchAnswer, VerdictAnswer
from exchange.models import EVERYONE, BatchVerdict, Purpose, Verdict
from exchange.verification.idempotency import HEADER, IdempotencyClaim
from exchange.verification.requests import MAX_BATCH_BODY, MAX_BODY, read_batch, read_request
from exchange.verification.service import Verifications
from foundation.actor import Actor
from foundation.batching import (
    HotAnswer,
    HotRequest,
    HotRoute,
    Require,
    mount,
)
from foundation.clock import rfc3339

SCOPE = "certificates.verify"
NO_STORE = ("cache-control", "no-store")
_TAGS = ("verification",)
A = TypeVar("A")
# Named here, because what annotates a handler's own functions is evaluated for every request.
_OneClaim = IdempotencyClaim[Verdict] | None
_BatchClaim = IdempotencyClaim[BatchVerdict] | None


def hot_routes(verifications: Verifications, require: Require) -> list[HotRoute]:
    """The fast lane: POST /api/v1/verifications and its batch."""

    def write(answer: Verdict) -> bytes:
        return orjson.dumps(to_json(verifications, answer))

    def write_batch(answer: BatchVerdict) -> bytes:
        return orjson.dumps(batch_to_json(verifications, answer))

    async def verify(request: HotRequest) -> HotAnswer:
        actor = await require.hot(request, SCOPE)

        def act(claim: _OneClaim) -> Awaitable[Verdict]:
            return verifications.verify(actor, read_request(request), claim)

        return await _answered(verifications, actor, request, act, write)

    async def verify_batch(request: HotRequest) -> HotAnswer:
        actor = await require.hot(request, SCOPE)

        def act(claim: _BatchClaim) -> Awaitable[BatchVerdict]:
            return verifications.verify_batch(actor, read_batch(request.body), claim)

        return await _answered(verifications, actor, request, act, write_batch)

    return [
        HotRoute(
            "POST",
            "/api/v1/verifications",
            verify,
            "verify_certificate",
            "Verify one certificate by number, file or QR code",
            body_limit=MAX_BODY,
            openapi=openapi.VERIFY,
            tags=_TAGS,
        ),
        HotRoute(
            "POST",
            "/api/v1/verifications/batch",
            verify_batch,
            "verify_certificates",
            "Verify up to 100 certificates with one receipt",
            body_limit=MAX_BATCH_BODY,
            openapi=openapi.VERIFY_BATCH,
            tags=_TAGS,
        ),
    ]


def router(verifications: Verifications, require: Require) -> APIRouter:
    """The ordinary lane, and the framework twins of the fast one."""
    routes = APIRouter(tags=list(_TAGS))
    mount(routes, hot_routes(verifications, require))
    allowed = Depends(require(SCOPE))

    @routes.get("/api/v1/receipts/{receipt_id}", name="get_receipt", summary="One receipt file")
    async def get_receipt(
        receipt_id: str,
        actor: Annotated[Actor, allowed],
        wait: Literal["", "proof"] = "",
    ) -> Response:
        """The file to keep: receipt, ledger entry, openings, proof, certificates."""
        if wait == "proof":
            file = await verifications.proved_receipt_file(receipt_id, actor)
        else:
            file = await run_in_threadpool(verifications.receipt_file, receipt_id, actor)
        return private(file)

    @routes.get("/api/v1/purposes", name="list_purposes", summary="What you may ask, and why")
    def list_purposes(actor: Annotated[Actor, allowed]) -> Response:
        """The purposes registered for your department, and those that are everyone's."""
        found = verifications.purposes.of(actor.organisation)
        return private({"items": [purpose_to_json(each) for each in found]})

    return routes


def to_json(verifications: Verifications, verdict: Verdict) -> VerdictAnswer:
    """A verdict as the API answers it: the same members for every outcome."""
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "next_step": verdict.next_step,
        "checks": verdict.checks,
        "type": verdict.type,
        "type_names": verifications.purposes.labels(verdict.type),
        "issuing_authority": verdict.issuing_authority,
        "authority_name": verdict.authority_name,
        "fields": verdict.fields,
        "predicates": verdict.predicates,
        "purpose": verdict.purpose,
        "legal_basis": verdict.legal_basis,
        "case_ref": verdict.case_ref,
        "checked_at": rfc3339(verdict.checked_at),
        "entry_id": verdict.entry_id,
        "receipt_id": verdict.receipt_id,
        "receipt": verdict.receipt,
    }


def batch_to_json(verifications: Verifications, answer: BatchVerdict) -> BatchAnswer:
    """The body that answers many questions under one receipt."""
    return {
        "items": [to_json(verifications, each) for each in answer.items],
        "receipt_id": answer.receipt_id,
        "receipt": answer.receipt,
        "checked_at": rfc3339(answer.checked_at),
    }


def purpose_to_json(purpose: Purpose) -> dict[str, Any]:
    """A purpose as GET /api/v1/purposes lists it."""
    return {
        "code": purpose.code,
        "type": purpose.type,
        "names": dict(purpose.names),
        "legal_bases": purpose.legal_bases,
        "fields": purpose.fields,
        "predicates": purpose.predicates,
        "open_to_everyone": purpose.organisation == EVERYONE,
    }


async def _answered(
    verifications: Verifications,
    actor: Actor,
    request: HotRequest,
    act: Callable[[IdempotencyClaim[A] | None], Awaitable[A]],
    write: Callable[[A], bytes],
) -> HotAnswer:
    key = request.headers.get(HEADER)
    if key is None:
        return HotAnswer(200, write(await act(None)), headers=(NO_STORE,))
    digested = request.path.encode() + b"\n" + request.body
    body, repeated = await verifications.replays.once(actor, key, digested, act, write)
    replayed = ("idempotency-replayed", "true" if repeated else "false")
    return HotAnswer(200, body, headers=(NO_STORE, replayed))


def private(value: object) -> Response:
    """JSON that nobody keeps."""
    return Response(orjson.dumps(value), media_type="application/json", headers=dict([NO_STORE]))
