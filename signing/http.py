"""Signing's machine interface.

    POST /api/v1/documents/validate     a sealed PDF, a CMS, or a file and the signature beside it

The body is a multipart form: `document` and, for a detached signature (CMS or JWS), `signature`.
A bad document is a good answer: 200, and the report says what is wrong with it. Nothing of the
document is kept.
"""

from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, File, Response, UploadFile

from foundation.batching import Require
from foundation.errors import TooLarge
from signing.foreign.examination import DEPARTMENTS
from signing.rules import MAX_DOCUMENT
from signing.service import Signing
from signing.validation.report import to_json
from signing.validation.service import MAX_SIGNATURE

SCOPE = "certificates.verify"


def router(signing: Signing, require: Require) -> APIRouter:
    """All routes of signing."""
    routes = APIRouter(tags=["documents"])
    allowed: Callable[..., Any] = require(SCOPE)

    # A plain function: the framework runs it in a thread, because a foreign PDF may take seconds.
    @routes.post(
        "/api/v1/documents/validate",
        name="validate_document",
        summary="Is this document sealed, by whom, when, and is it unchanged?",
        dependencies=[Depends(allowed)],
    )
    def validate_document(
        document: Annotated[UploadFile, File(description="a PDF, a CMS, or any signed file")],
        signature: Annotated[
            UploadFile | None, File(description="the signature beside it: CMS or detached JWS")
        ] = None,
    ) -> Response:
        """Validate a document; the report has the same members for every outcome."""
        data = _read(document, MAX_DOCUMENT)
        beside = b"" if signature is None else _read(signature, MAX_SIGNATURE)
        report = to_json(signing.validate(data, beside, DEPARTMENTS))
        headers = {"cache-control": "no-store"}
        return Response(orjson.dumps(report), media_type="application/json", headers=headers)

    return routes


def _read(file: UploadFile, limit: int) -> bytes:
    data = file.file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"a file here has at most {limit} bytes", limit=str(limit))
    return data
