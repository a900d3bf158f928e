"""The authority's register: list, search, the life of one certificate, and the legal acts on it.

Which acts are possible is read from `certificates.rules.TRANSITIONS`; what happens is decided by
the service when the act is sent, because the state may have changed since the page was drawn (409).
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from certificates import (
    REASONS,
    TRANSITIONS,
    Certificate,
    State,
)
from foundation.errors import Conflict, Invalid, NotFound, YinzhengError
from portal.citizen.access_history import look
from portal.citizen.pages import pdf_answer
from portal.frame import forms, problems
from portal.frame.page_context import Form, PageContext
from portal.frame.problems import Mistake
from portal.frame.views import card, facts, general_facts

PER_PAGE = 50
SHORTEST_QUERY = 2
# The acts officers do by hand, in order of gravity; superseding happens when a new one is issued.
ACTS: Mapping[str, State] = {
    "restore": State.ACTIVE,
    "suspend": State.SUSPENDED,
    "cancel": State.CANCELLED,
    "withdraw": State.WITHDRAWN,
    "revoke": State.REVOKED,
}


def router(context: PageContext) -> APIRouter:
    """Routes of /staff/certificates: search, one certificate, its PDF, the status acts on it."""
    pages = APIRouter(prefix="/staff/certificates")
    certificates = context.site.certificates

    @pages.get("")
    def register(request: Request, q: str = "", after: str = "") -> Response:
        actor = context.officer(request).actor
        lang, now = context.language(request), context.site.clock()
        query = forms.without_invisible(" ".join(q.split()))[:200]
        if query and len(query) < SHORTEST_QUERY:
            errors = problems.one(lang, "q", "register.too_short")
            return _list(context, request, q=query, rows=[], next=None, status=422, errors=errors)
        page = certificates.search(actor, query, after=after or None, limit=PER_PAGE)
        kinds = context.site.catalogue
        rows = [card(lang, kinds.find(each.type), each, now) for each in page.items]
        return _list(context, request, q=query, rows=rows, next=page.next)

    @pages.get("/{identifier}")
    def certificate(request: Request, identifier: str, done: str = "") -> Response:
        actor = context.officer(request).actor
        lang = context.language(request)
        found = certificates.get(actor, identifier)
        kind = context.site.catalogue.find(found.type)
        history = context.site.ledger.history(identifier)
        return context.page(
            request,
            "register_certificate.html",
            certificate=card(lang, kind, found, context.site.clock()),
            facts=[*facts(lang, kind, found.fields), *general_facts(lang, kind, found)],
            acts=possible_acts(found) if actor.may("approver") else [],
            history=[
                look(context, lang, actor, each, {identifier: found.type}) for each in history
            ],
            done=bool(done),
        )

    @pages.get("/{identifier}/certificate.pdf")
    def pdf(request: Request, identifier: str) -> Response:
        actor = context.officer(request).actor
        return pdf_answer(certificates.pdf(actor, identifier), identifier)

    @pages.get("/{identifier}/{act}")
    def ask(request: Request, identifier: str, act: str) -> Response:
        actor = context.officer(request).actor
        found = certificates.get(actor, identifier)
        return _change(context, request, found, _wanted(act), act)

    @pages.post("/{identifier}/{act}")
    def change(request: Request, identifier: str, act: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        wanted = _wanted(act)
        reason, note = forms.text(form, "reason_code"), forms.paragraph(form, "note")
        if not reason:
            found = certificates.get(actor, identifier)
            errors = problems.one(context.language(request), "reason_code", "act.reason_missing")
            return _change(context, request, found, wanted, act, note=note, errors=errors)
        try:
            certificates.change_state(actor, identifier, wanted, reason, note)
        except (Invalid, Conflict) as problem:
            found = certificates.get(actor, identifier)
            return _change(context, request, found, wanted, act, reason, note, problem=problem)
        return context.go(f"/staff/certificates/{identifier}?done=yes")

    return pages


def possible_acts(it: Certificate) -> list[str]:
    """The acts that the law knows for a certificate in its present state."""
    return [act for act, state in ACTS.items() if state in TRANSITIONS[it.state]]


def _wanted(act: str) -> State:
    if act not in ACTS:
        raise NotFound("there is no such act")
    return ACTS[act]


def _list(context: PageContext, request: Request, *, q: str, **values: object) -> Response:
    keep = urlencode({"q": q}) if q else ""
    return context.page(request, "register.html", q=q, keep=keep, **values)


def _change(
    context: PageContext,
    request: Request,
    found: Certificate,
    wanted: State,
    act: str,
    reason_code: str = "",
    note: str = "",
    *,
    errors: list[Mistake] | None = None,
    problem: YinzhengError | None = None,
) -> Response:
    """The question before an act. When the state has changed meanwhile, both states are shown."""
    lang, kind = context.language(request), context.site.catalogue.find(found.type)
    status = problem.status if problem else (422 if errors else 200)
    return context.page(
        request,
        "change_state.html",
        status=status,
        errors=problems.mistakes(lang, problem) if problem else errors or [],
        certificate=card(lang, kind, found, context.site.clock()),
        act=act,
        wanted=str(wanted),
        possible=wanted in TRANSITIONS[found.state],
        reasons=[(each.code, lang.pick(each.labels)) for each in REASONS[wanted]],
        reason_code=reason_code,
        note=note,
    )
