"""Drafting and reviewing: four eyes, and what is sealed is exactly what both have seen.

The preview is drawn by the renderer that draws the sealed page. An approval names the digest of the
content the approver looked at; if the content changed meanwhile, the service refuses (409) and the
page shows the present content again. Who may do what is decided by the service.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from certificates import CertificateType, Draft
from foundation.errors import Conflict, Invalid, YinzhengError
from portal.frame import forms, problems
from portal.frame.language import Language
from portal.frame.page_context import Form, PageContext
from portal.frame.problems import Mistake
from portal.frame.views import facts, own
from portal.officer import troubles

QUEUE = 50
_MINE = {"draft", "returned", "submitted", "approved"}


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a type as a form control."""

    name: str
    label: str
    value: str
    hint: str
    input: str
    required: bool
    code: bool
    long: bool
    options: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A draft in a list."""

    href: str
    holder_name: str
    type_name: str
    drafter_name: str
    state: str
    at: Any


def router(context: PageContext) -> APIRouter:  # noqa: C901 - all routes of the page
    """Routes of /staff: the officer's queue, drafts with their previews, and the review."""
    pages = APIRouter(prefix="/staff")
    certificates = context.site.certificates

    @pages.get("")
    def queue(request: Request) -> Response:
        actor = context.officer(request).actor
        lang = context.language(request)
        drafts = certificates.drafts(actor, limit=QUEUE).items
        waiting = [d for d in drafts if d.state == "submitted" and d.drafter != actor.id]
        mine = [d for d in drafts if d.drafter == actor.id and d.state in _MINE]
        piles = []
        if actor.may("approver"):
            piles.append(_pile(context, lang, "to_review", waiting, "/staff/review/"))
        if actor.may("drafter"):
            piles.append(_pile(context, lang, "mine", mine, "/staff/drafts/"))
        types = certificates.types() if actor.may("drafter") else []
        return context.page(request, "staff.html", piles=piles, types=types)

    @pages.get("/drafts/new")
    def new(request: Request, type: str = "") -> Response:  # noqa: A002 - the query's own name
        context.officer(request)
        kind = context.site.catalogue.find(type)
        return _form(context, request, kind, {}, action="/staff/drafts")

    @pages.post("/drafts")
    def create(request: Request, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        kind = context.site.catalogue.find(forms.text(form, "type"))
        fields = _fields(kind, form)
        try:
            draft = certificates.draft(actor, kind.name, fields)
        except (Invalid, Conflict) as problem:
            return _form(context, request, kind, fields, action="/staff/drafts", problem=problem)
        return context.go(_after(draft, form))

    @pages.get("/drafts/{draft_id}")
    def edit(request: Request, draft_id: str) -> Response:
        actor = context.officer(request).actor
        draft = certificates.find_draft(actor, draft_id)
        if draft.drafter != actor.id or draft.state not in {"draft", "returned"}:
            return context.go(f"/staff/drafts/{draft_id}/preview")
        kind = context.site.catalogue.find(draft.type)
        return _form(
            context, request, kind, draft.fields, action=f"/staff/drafts/{draft_id}", draft=draft
        )

    @pages.post("/drafts/{draft_id}")
    def save(request: Request, draft_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        draft = certificates.find_draft(actor, draft_id)
        kind = context.site.catalogue.find(draft.type)
        fields = _fields(kind, form)
        try:
            draft = certificates.update(actor, draft_id, fields)
        except (Invalid, Conflict) as problem:
            action = f"/staff/drafts/{draft_id}"
            return _form(
                context, request, kind, fields, action=action, draft=draft, problem=problem
            )
        return context.go(_after(draft, form))

    @pages.get("/drafts/{draft_id}/preview")
    def preview(request: Request, draft_id: str) -> Response:
        actor = context.officer(request).actor
        return _preview(context, request, certificates.find_draft(actor, draft_id))

    @pages.get("/drafts/{draft_id}/preview.pdf")
    def preview_pdf(request: Request, draft_id: str) -> Response:
        actor = context.officer(request).actor
        data = certificates.preview(draft_id, actor)
        headers = {"Content-Disposition": "inline", "Cache-Control": "no-store"}
        return Response(data, media_type="application/pdf", headers=headers)

    @pages.get("/drafts/{draft_id}/preview.png")
    def preview_png(request: Request, draft_id: str) -> Response:
        actor = context.officer(request).actor
        data = certificates.preview_png(draft_id, actor)
        return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})

    @pages.post("/drafts/{draft_id}/submit")
    def submit(request: Request, draft_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        try:
            certificates.submit(actor, draft_id)
        except Invalid as problem:
            return _preview(context, request, certificates.find_draft(actor, draft_id), problem)
        return context.go(f"/staff/drafts/{draft_id}/preview")

    @pages.get("/review/{draft_id}")
    def review(request: Request, draft_id: str) -> Response:
        actor = context.officer(request).actor
        return _review(context, request, certificates.find_draft(actor, draft_id))

    @pages.post("/review/{draft_id}/approve")
    def approve(request: Request, draft_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        try:
            certificates.approve(actor, draft_id, forms.text(form, "content_digest"))
        except (Conflict, Invalid) as problem:
            draft = certificates.find_draft(actor, draft_id)
            return _review(context, request, draft, problem=problem)
        return context.go(f"/staff/drafts/{draft_id}/preview")

    @pages.post("/review/{draft_id}/return")
    def send_back(request: Request, draft_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        reason = forms.paragraph(form, "reason", 1000)
        if not reason:
            lang, draft = context.language(request), certificates.find_draft(actor, draft_id)
            errors = problems.one(lang, "reason", "review.reason_missing")
            return _review(context, request, draft, errors=errors, status=422)
        certificates.return_(actor, draft_id, reason)
        return context.go("/staff")

    return pages


def _pile(
    context: PageContext, lang: Language, name: str, drafts: list[Draft], where: str
) -> Mapping[str, Any]:
    lines = [_line(context, lang, draft, f"{where}{draft.id}") for draft in drafts]
    return {"name": name, "drafts": lines}


def _line(context: PageContext, lang: Language, draft: Draft, href: str) -> DraftLine:
    kind = context.site.catalogue.find(draft.type)
    holder = draft.fields.get(kind.holder.name, "") or draft.number
    return DraftLine(
        href=href,
        holder_name=holder,
        type_name=lang.pick(kind.labels),
        drafter_name=draft.drafter_name,
        state=draft.state,
        at=draft.changed_at,
    )


def _fields(kind: CertificateType, form: FormData) -> dict[str, str]:
    """What was typed, as it was typed: putting it right is the catalogue's business."""
    typed = {name: forms.typed(form, name) for name in kind.fields}
    return {name: value for name, value in typed.items() if value}


def _after(draft: Draft, form: FormData) -> str:
    preview = form.get("then") == "preview"
    return f"/staff/drafts/{draft.id}/preview" if preview else f"/staff/drafts/{draft.id}?saved=yes"


def form_fields(
    lang: Language, kind: CertificateType, values: Mapping[str, str]
) -> list[FormField]:
    """The type's fields as controls with label, hint, example and present value."""
    controls = []
    for name, field in kind.fields.items():
        example = field.example if not field.choices and field.kind != "date" else ""
        controls.append(
            FormField(
                name=name,
                label=lang.pick(field.labels),
                value=values.get(name, ""),
                hint=lang.say("draft.example", example=example) if example else "",
                input="date" if field.kind == "date" else "text",
                required=field.required,
                code=field.kind in {"code", "organisation-code", "resident-number"},
                long=field.kind == "multiline",
                options=[(each.code, lang.pick(each.labels)) for each in field.choices],
            )
        )
    return controls


def _form(
    context: PageContext,
    request: Request,
    kind: CertificateType,
    values: Mapping[str, str],
    *,
    action: str,
    draft: Draft | None = None,
    problem: YinzhengError | None = None,
) -> Response:
    lang = context.language(request)
    labels = {name: lang.pick(field.labels) for name, field in kind.fields.items()}
    return context.page(
        request,
        "draft.html",
        status=problem.status if problem else 200,
        errors=problems.mistakes(lang, problem, labels) if problem else [],
        type_name=lang.pick(kind.labels),
        type_code="" if draft else kind.name,
        returned=draft.returned_because if draft and draft.state == "returned" else "",
        saved="saved" in request.query_params,
        fields=form_fields(lang, kind, values),
        action=action,
    )


def _preview(
    context: PageContext, request: Request, draft: Draft, problem: YinzhengError | None = None
) -> Response:
    actor = context.visitor(request).actor
    return _draft_page(
        context,
        request,
        "draft_ready.html",
        draft,
        context.language(request).say("preview.heading"),
        problem,
        mine=draft.drafter == actor.id,
        may_review=actor.may("approver") and draft.drafter != actor.id,
        trouble=troubles.told(context.language(request), context.site.certificates.trouble(draft)),
    )


def _review(
    context: PageContext,
    request: Request,
    draft: Draft,
    problem: YinzhengError | None = None,
    errors: list[Mistake] | None = None,
    status: int = 200,
) -> Response:
    actor = context.visitor(request).actor
    if draft.state != "submitted" and problem is None:
        return context.go(f"/staff/drafts/{draft.id}/preview")
    return _draft_page(
        context,
        request,
        "review.html",
        draft,
        context.language(request).say("review.title"),
        problem,
        own=draft.drafter == actor.id,
        reason="",
        extra=errors or [],
        status=status,
    )


def _draft_page(
    context: PageContext,
    request: Request,
    template: str,
    draft: Draft,
    heading: str,
    problem: YinzhengError | None,
    *,
    extra: list[Mistake] | None = None,
    status: int = 200,
    **values: Any,
) -> Response:
    lang = context.language(request)
    kind = context.site.catalogue.find(draft.type)
    holder = draft.fields.get(kind.holder.name, "")
    labels = {name: lang.pick(field.labels) for name, field in kind.fields.items()}
    return context.page(
        request,
        template,
        status=problem.status if problem else status,
        errors=problems.mistakes(lang, problem, labels) if problem else extra or [],
        draft=draft,
        heading=heading,
        type_name=lang.pick(kind.labels),
        holder_name=holder,
        holder_lang=own(lang, holder),
        facts=facts(lang, kind, draft.fields),
        **values,
    )
