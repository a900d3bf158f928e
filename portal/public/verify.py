"""Verification for everybody: by number, by file, by a photo of the code, and /v/{token}.

The verdict is computed once, on the server, by the exchange; a page cannot show a certificate
without it. Every check is recorded and the holder sees it, also when nobody is signed in.

A code that a holder shows opens once, so fetching its address opens nothing: link previews,
prefetching browsers and scanners of mail do that too (attack 51). The page asks, a person's button
opens, and a cookie for that address alone lets the same browser load the answer again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from exchange import PUBLIC_CHECK, Verdict, VerificationRequest, is_show_code
from foundation.errors import Invalid, TooLarge
from portal.citizen.pictures import MAX_PHOTO_BYTES, read_qr
from portal.frame import forms, problems
from portal.frame.errors import FileNeeded
from portal.frame.language import Language
from portal.frame.page_context import Form, PageContext, upload
from portal.frame.problems import Mistake
from portal.frame.views import Fact, facts, own

CODE_PREFIX = "YZ1:"
MAX_DOCUMENT_BYTES = 10 * 1024 * 1024

# verdict -> how it looks: good, care (look again) or bad. The word always stands beside it.
TONES: Mapping[str, str] = {
    "valid": "good",
    "valid_as_of": "good",
    "suspended": "care",
    "expired": "care",
    "not_yet_valid": "care",
    "superseded": "care",
    "not_a_certificate": "plain",
    "not_found": "plain",
    "not_permitted": "plain",
    "source_unavailable": "plain",
}
_UNLISTED = {"X-Robots-Tag": "noindex"}
_CHECK_TONES = {"pass": "good", "fail": "bad", "unknown": "plain"}


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One of the six checks as a line: what was looked at, how it ended, and why."""

    tone: str
    name: str
    result: str
    words: str


def router(context: PageContext) -> APIRouter:  # noqa: C901 - all routes of the page
    """Routes of /verify and /v/{token}: forms to ask about a certificate, and the verdict."""
    pages = APIRouter()
    verifications = context.site.verifications

    @pages.get("/verify")
    def verify(request: Request, number: str = "") -> Response:
        return _ways(context, request, number=forms.as_code(number)[:128])

    @pages.post("/verify/number")
    def by_number(request: Request, form: Form) -> Response:
        context.accept(request, form)
        number = forms.code(form, "number", 128)
        if not number:
            return _again(context, request, "number", "verify.number_missing")
        asked = VerificationRequest(number=number, purpose=PUBLIC_CHECK)
        return _answer(context, request, asked)

    @pages.post("/verify/file")
    def by_file(request: Request, form: Form) -> Response:
        context.accept(request, form)
        file = upload(form, "document")
        if file is None:
            return _again(context, request, "document", "verify.file_missing")
        try:
            document = read_limited(file.file.read(MAX_DOCUMENT_BYTES + 1))
            return _answer(
                context, request, VerificationRequest(document=document, purpose=PUBLIC_CHECK)
            )
        except (Invalid, TooLarge) as problem:
            return _refused(context, request, "document", problem)

    @pages.post("/verify/photo")
    def by_photo(request: Request, form: Form) -> Response:
        context.accept(request, form)
        file = upload(form, "photo")
        if file is None:
            return _again(context, request, "photo", "verify.photo_missing")
        try:
            text = read_qr(file.file.read(MAX_PHOTO_BYTES + 1))
        except (Invalid, TooLarge) as problem:
            return _refused(context, request, "photo", problem)
        return _follow_code(context, request, text)

    @pages.get("/v/{token}")
    def by_token(request: Request, token: str) -> Response:
        if is_show_code(token):
            return _shown(context, request, token)
        actor = context.visitor(request).actor
        verdict = verifications.open(token, actor, address=context.address(request))
        return verdict_page(context, request, verdict)

    @pages.post("/v/{token}")
    def open_shown(request: Request, token: str, form: Form) -> Response:
        context.accept(request, form)
        answer = context.go(request.url.path)  # loading the answer again sends no form again
        if is_show_code(token):
            word, actor = context.word(request), context.visitor(request).actor
            until = verifications.showing.open_for(
                word, token, actor, address=context.address(request)
            )
            _let_look_again(context, request, answer, word, until)
        return answer

    return pages


def read_limited(data: bytes) -> bytes:
    """The bytes of an upload. Raises `FileNeeded` when empty, `TooLarge` beyond the limit."""
    if not data:
        raise FileNeeded("the file is empty", next_step="choose another file")
    if len(data) > MAX_DOCUMENT_BYTES:
        raise TooLarge("the file is larger than 10 MB", next_step="send the file as it was issued")
    return data


def verdict_page(context: PageContext, request: Request, verdict: Verdict) -> Response:
    """The page for one verdict; 200 whatever it says, as on the API."""
    lang = context.language(request)
    kind = context.site.catalogue.get(verdict.type)
    shown: list[Fact] = facts(lang, kind, verdict.fields) if kind else []
    if verdict.authority_name:
        name = verdict.authority_name
        shown.append(Fact(lang.say("certificate.authority"), name, lang=own(lang, name)))
    return context.page(
        request,
        "verdict.html",
        verdict=verdict,
        tone=TONES.get(verdict.verdict, "bad"),
        type_name=lang.pick(kind.labels) if kind else "",
        facts=shown,
        checks=[check_line(lang, check.name, check.result, check.code) for check in verdict.checks],
        headers=_UNLISTED,
    )


def _shown(context: PageContext, request: Request, token: str) -> Response:
    """What this browser has opened here, else the question whether to; nothing changes by it."""
    word = request.cookies.get(_cookie(context), "")
    seen = context.site.verifications.showing.again(word, token) if word else None
    if seen is not None:
        return verdict_page(context, request, seen)
    return context.page(request, "shown.html", headers=_UNLISTED)


def _let_look_again(
    context: PageContext, request: Request, answer: Response, word: str, until: datetime
) -> None:
    """Give the browser its word, for this address and until the code's end. Lax: people come back
    to the address from another program, and looking changes nothing."""
    answer.set_cookie(
        _cookie(context),
        word,
        max_age=max(0, ceil((until - context.site.clock()).total_seconds())),
        path=request.url.path,
        secure=_is_https(context),
        httponly=True,
        samesite="lax",
    )


def _cookie(context: PageContext) -> str:
    return "__Secure-yz_shown" if _is_https(context) else "yz_shown"


def _is_https(context: PageContext) -> bool:
    return context.origin.startswith("https://")


def check_line(lang: Language, name: str, result: str, code: str) -> CheckLine:
    """One check of a verdict in words: `name` and `result` as the exchange says them, `code`
    its reason; a code without a sentence is said to be not checked."""
    message = f"reason.{name}.{code}"
    return CheckLine(
        tone=_CHECK_TONES[result],
        name=lang.say(f"check.{name}"),
        result=lang.say(f"result.{result}"),
        words=lang.say(message if lang.knows(message) else "reason.not_checked"),
    )


def _answer(context: PageContext, request: Request, asked: VerificationRequest) -> Response:
    actor = context.visitor(request).actor
    verdict = context.site.verifications.verify_now(actor, asked, address=context.address(request))
    return verdict_page(context, request, verdict)


def _follow_code(context: PageContext, request: Request, text: str) -> Response:
    """A code holds our address or our signed text; anything else is somebody else's."""
    if text.startswith(CODE_PREFIX):
        return _answer(context, request, VerificationRequest(qr_text=text, purpose=PUBLIC_CHECK))
    parts = urlsplit(text)
    if f"{parts.scheme}://{parts.netloc}" == context.origin and parts.path.startswith("/v/"):
        return context.go(parts.path)
    return _again(context, request, "photo", "verify.foreign_code")


def _again(context: PageContext, request: Request, field: str, message: str) -> Response:
    errors = problems.one(context.language(request), field, message)
    return _ways(context, request, status=422, errors=errors)


def _refused(
    context: PageContext, request: Request, field: str, problem: Invalid | TooLarge
) -> Response:
    words = problems.sentence(context.language(request), problem)
    return _ways(context, request, status=problem.status, errors=[Mistake(field, words)])


def _ways(context: PageContext, request: Request, **values: object) -> Response:
    return context.page(request, "verify.html", **{"number": "", **values})
