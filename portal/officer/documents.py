"""Any signed document: is it sealed, by whom, when, and is it still what was sealed?

What a certificate is worth today is asked on /verify; this page reads what the file itself proves,
also of files that no register of ours knows. Reasons come from
`signing.validation.service.reasons`, in the reader's language; nothing but a validation without a
doubt is ever green. The file is not kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from foundation.errors import Invalid, TooLarge
from portal.frame import problems
from portal.frame.errors import FileNeeded
from portal.frame.language import Language
from portal.frame.page_context import Form, PageContext, upload
from portal.frame.problems import Mistake
from portal.frame.views import own
from portal.public.verify import CheckLine
from signing import (
    MAX_DOCUMENT,
    MAX_SIGNATURE,
    Check,
    CheckName,
    SignatureFacts,
    Validation,
    budget_of,
    etsi,
    reason_for,
)

_TONES: Mapping[str, str] = {"valid": "good", "unknown": "care", "invalid": "bad"}
_CHECK_TONES: Mapping[str, str] = {"pass": "good", "fail": "bad", "unknown": "plain"}
_ASKED: tuple[CheckName, ...] = (
    "integrity",
    "seal",
    "authority",
    "time",
)  # the others are the register's to answer


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature of the document, in words."""

    signer: str
    signer_lang: str
    when: str
    coverage: str
    changes: str


def router(context: PageContext) -> APIRouter:
    """Routes of /verify/document: upload a signed document, read what its signatures prove."""
    pages = APIRouter()

    @pages.get("/verify/document")
    def document(request: Request) -> Response:
        return _form(context, request)

    @pages.post("/verify/document")
    def validate(request: Request, form: Form) -> Response:
        context.accept(request, form)
        file, beside = upload(form, "document"), upload(form, "signature")
        if file is None:
            errors = problems.one(context.language(request), "document", "verify.file_missing")
            return _form(context, request, errors=errors, status=422)
        try:
            data = read_upload(file, MAX_DOCUMENT)
            signature = read_upload(beside, MAX_SIGNATURE) if beside else b""
            budget = budget_of(context.visitor(request).actor)
            found = context.site.signing.validate(data, signature, budget)
        except (Invalid, TooLarge) as problem:
            words = problems.sentence(context.language(request), problem)
            errors = [Mistake("document", words)]
            return _form(context, request, errors=errors, status=problem.status)
        return _answer(context, request, found, file.filename or "")

    return pages


def read_upload(file: UploadFile, limit: int) -> bytes:
    """The whole file. Raises `FileNeeded` when it is empty, `TooLarge`."""
    data = file.file.read(limit + 1)
    if not data:
        raise FileNeeded("the file is empty", next_step="choose another file")
    if len(data) > limit:
        raise TooLarge(f"a file here has at most {limit} bytes", limit=str(limit))
    return data


def _form(context: PageContext, request: Request, **values: object) -> Response:
    return context.page(request, "document.html", **values)


def _answer(context: PageContext, request: Request, found: Validation, filename: str) -> Response:
    lang = context.language(request)
    indication, sub_indication = etsi(found)
    return context.page(
        request,
        "document_verdict.html",
        found=found,
        filename=filename,
        tone=_TONES[found.indication],
        words=_words(found),
        checks=[_check(lang, found.check(name)) for name in _ASKED],
        signatures=[
            SignatureLine(
                signer=one.signer,
                signer_lang=own(lang, one.signer),
                when=_when(lang, one),
                coverage=lang.say(f"document.coverage.{one.coverage}"),
                changes=lang.say(f"document.changes.{one.changes}"),
            )
            for one in found.details
        ],
        seal_lang=own(lang, found.seal.name) if found.seal else "",
        etsi=f"{indication} {sub_indication}".rstrip(),
        headers={"X-Robots-Tag": "noindex"},
    )


def _words(found: Validation) -> str:
    """The sentence under the verdict; "no change" is only said where something was compared."""
    if found.indication == "unknown" and found.check("integrity").result != "pass":
        return "document.not_compared_text"
    return f"document.{found.indication}_text"


def _check(lang: Language, check: Check) -> CheckLine:
    return CheckLine(
        tone=_CHECK_TONES[check.result],
        name=lang.say(f"check.{check.name}"),
        result=lang.say(f"result.{check.result}"),
        words=lang.pick(reason_for(check.code).text),
    )


def _when(lang: Language, one: SignatureFacts) -> str:
    if one.signed_at is None:
        return lang.say("document.undated")
    proved = "document.time_proved" if one.time_proved else "document.time_claimed"
    return lang.say(proved, time=lang.moment(one.signed_at))
