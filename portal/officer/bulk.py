"""Bulk issuing: a table is checked as a whole, a second officer agrees to it, progress is live.

The dry run issues nothing and repeats no value of the file in its list of mistakes. The second
officer agrees to the digest on the page; when the rows are not the ones behind it, the service
refuses (409). What happens then is in `bulk_progress`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from certificates import (
    MAX_BYTES,
    Batch,
    CertificateType,
    EncodingNotConfirmed,
    InvalidCatalogue,
    RowError,
    UnknownColumn,
    UnknownColumns,
)
from foundation.actor import Actor
from foundation.errors import Conflict, Invalid, Malformed, TooLarge, YinzhengError
from portal.frame import forms, problems
from portal.frame.language import Language
from portal.frame.page_context import Form, PageContext, upload
from portal.frame.problems import Mistake
from portal.officer import bulk_progress

PER_PAGE = 50
SAMPLE = 20  # rows a page of a batch shows
SHOWN = 100  # mistakes on the page; the file has all that were kept


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A batch in the list."""

    id: str
    filename: str
    type_name: str
    rows: int
    state: str
    by_name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Stray:
    """A column that no field uses, and what it was probably meant for."""

    name: str
    meant: str
    tells_state: bool


@dataclass(frozen=True, slots=True)
class RowMistake:
    """A mistake of the file in the reader's language; `detail` is the catalogue's own English."""

    row: int
    column: str
    rule: str
    fix: str
    detail: str


def router(context: PageContext) -> APIRouter:  # noqa: C901 - all routes of the page
    """Routes of /staff/bulk: upload a table, see its mistakes, approve it, follow its issuing."""
    pages = APIRouter(prefix="/staff/bulk")
    batches = context.site.batches

    @pages.get("")
    def overview(request: Request, after: str = "") -> Response:
        context.officer(request)
        return _overview(context, request, after=after)

    @pages.post("")
    def check(request: Request, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        chosen = {"type": forms.text(form, "type"), "mapping": forms.text(form, "mapping")}
        file = upload(form, "file")
        if file is None:
            missing = problems.one(context.language(request), "file", "bulk.file_missing")
            return _overview(context, request, errors=missing, status=422, **chosen)
        data = file.file.read(MAX_BYTES + 1)
        try:
            batch = batches.upload(
                actor, chosen["type"], chosen["mapping"], data, file.filename or ""
            )
        except (Malformed, Invalid, TooLarge) as problem:
            errors = _file_problem(context.language(request), problem)
            return _overview(context, request, errors=errors, status=problem.status, **chosen)
        return context.go(f"/staff/bulk/{batch.id}")

    @pages.get("/template/{type_name}.csv")
    def template(request: Request, type_name: str) -> Response:
        context.officer(request)
        return _sheet(batches.template_file(type_name), f"{type_name}.csv")

    @pages.get("/{batch_id}")
    def batch_page(request: Request, batch_id: str, after: str = "") -> Response:
        actor = context.officer(request).actor
        return _batch(context, request, actor, batches.get(actor, batch_id), after=after)

    @pages.get("/{batch_id}/errors.csv")
    def errors_file(request: Request, batch_id: str) -> Response:
        actor = context.officer(request).actor
        return _sheet(batches.error_file(actor, batch_id), "errors.csv")

    @pages.get("/{batch_id}/rows/{row}.png")
    def row_picture(request: Request, batch_id: str, row: int) -> Response:
        actor = context.officer(request).actor
        data = batches.preview_png(actor, batch_id, row)
        return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})

    @pages.post("/{batch_id}/submit")
    def submit(request: Request, batch_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        waived = [name for name in form.getlist("waive") if isinstance(name, str)]
        encoding = forms.text(form, "encoding")
        try:
            batches.submit(actor, batch_id, waived=waived, encoding=encoding)
        except (Invalid, Conflict) as problem:
            again = {"waived": waived, "confirmed": encoding}
            return _again(context, request, actor, batch_id, problem, **again)
        return context.go(f"/staff/bulk/{batch_id}")

    @pages.post("/{batch_id}/approve")
    def approve(request: Request, batch_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        try:
            digest, encoding = forms.text(form, "content_digest"), forms.text(form, "encoding")
            batches.approve(actor, batch_id, digest, encoding=encoding)
        except (Invalid, Conflict) as problem:
            return _again(context, request, actor, batch_id, problem)
        return context.go(f"/staff/bulk/{batch_id}/progress")

    @pages.post("/{batch_id}/return")
    def send_back(request: Request, batch_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        reason = forms.paragraph(form, "reason", 1000)
        if not reason:
            errors = problems.one(context.language(request), "reason", "review.reason_missing")
            batch = batches.get(actor, batch_id)
            return _batch(context, request, actor, batch, errors=errors, status=422)
        batches.return_(actor, batch_id, reason)
        return context.go(f"/staff/bulk/{batch_id}")

    @pages.post("/{batch_id}/pause")
    def pause(request: Request, batch_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        try:
            batches.pause(actor, batch_id)
        except Conflict as problem:  # it was faster than the button
            return _again(context, request, actor, batch_id, problem)
        return context.go(f"/staff/bulk/{batch_id}")

    @pages.post("/{batch_id}/resume")
    def resume(request: Request, batch_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        try:
            batches.resume(actor, batch_id)
        except Conflict as problem:
            return _again(context, request, actor, batch_id, problem)
        return context.go(f"/staff/bulk/{batch_id}/progress")

    @pages.get("/{batch_id}/progress")
    def progress(request: Request, batch_id: str) -> Response:
        actor = context.officer(request).actor
        return bulk_progress.live(context, request, batches.get(actor, batch_id))

    return pages


# --- the list and the form ----------------------------------------------------------------------


def _overview(
    context: PageContext,
    request: Request,
    *,
    after: str = "",
    type: str = "",  # noqa: A002 - the field's own name
    mapping: str = "",
    **values: Any,
) -> Response:
    actor = context.visitor(request).actor
    lang = context.language(request)
    types = [(each.name, lang.pick(each.labels)) for each in context.site.certificates.types()]
    known = [(each.name, each.source or each.name) for each in context.site.batches.mappings()]
    page = context.site.batches.list(actor, after=after or None, limit=PER_PAGE)
    return context.page(
        request,
        "bulk.html",
        may_upload=actor.may("drafter"),
        types=types,
        type=type,
        mappings=[("", lang.say("bulk.mapping_same")), *known],
        mapping=mapping,
        batches=[_line(context, lang, each) for each in page.items],
        next=page.next,
        **values,
    )


def _line(context: PageContext, lang: Language, batch: Batch) -> BatchLine:
    return BatchLine(
        id=batch.id,
        filename=batch.filename,
        type_name=_type_name(context, lang, batch),
        rows=batch.rows,
        state=_state(batch),
        by_name=batch.drafter_name,
        at=batch.created_at,
    )


def _state(batch: Batch) -> str:
    """The state a reader cares about: a file with mistakes was checked, and failed; a good one may
    still ask something of its drafter.
    """
    if batch.faults:
        return "failed"
    asks = batch.guessed or batch.unknown_columns
    return "questions" if batch.state == "checked" and asks else batch.state


def _type_name(context: PageContext, lang: Language, batch: Batch) -> str:
    return lang.pick(context.site.catalogue.find(batch.type).labels)


def _file_problem(lang: Language, problem: YinzhengError) -> list[Mistake]:
    if isinstance(problem, InvalidCatalogue):
        return problems.one(lang, "mapping", "bulk.mapping_other_type")
    return [Mistake("file", problems.sentence(lang, problem))]


# --- one batch ----------------------------------------------------------------------------------


def _again(
    context: PageContext,
    request: Request,
    actor: Actor,
    batch_id: str,
    problem: YinzhengError,
    **values: Any,
) -> Response:
    """The batch as it is now, under the sentence that says why nothing happened."""
    lang, batch = context.language(request), context.site.batches.get(actor, batch_id)
    errors = problems.mistakes(lang, problem)
    if isinstance(problem, UnknownColumns | EncodingNotConfirmed):
        field = "waive" if isinstance(problem, UnknownColumns) else "encoding"
        errors = [Mistake(field, problems.sentence(lang, problem))]
    return _batch(context, request, actor, batch, errors=errors, status=problem.status, **values)


def _batch(
    context: PageContext,
    request: Request,
    actor: Actor,
    batch: Batch,
    *,
    after: str = "",
    waived: Sequence[str] = (),
    confirmed: str = "",
    **values: Any,
) -> Response:
    lang = context.language(request)
    kind = context.site.catalogue.find(batch.type)
    sample = context.site.batches.rows(actor, batch.id, after=after or None, limit=SAMPLE)
    names = [name for name in kind.fields if any(row.fields.get(name) for row in sample.items)]
    fields = {name: kind.fields[name] for name in names}
    rows = [
        {
            "row": row.row,
            "cells": [fields[name].display(row.fields.get(name, ""), lang.code) for name in fields],
            "outcome": str(row.outcome),
        }
        for row in sample.items
    ]
    return context.page(
        request,
        "batch.html",
        batch=batch,
        state=_state(batch),
        type_name=lang.pick(kind.labels),
        mistakes=[row_mistake(lang, each) for each in batch.errors[:SHOWN]],
        strays=[_stray(lang, kind, each) for each in batch.unknown_columns],
        ticked=waived,
        confirmed=confirmed,
        strange=[
            (
                each.row,
                [(lang.pick(kind.fields[n].labels), text) for n, text in each.fields.items()],
            )
            for each in context.site.batches.strange_rows(actor, batch.id)
        ],
        may_submit=actor.may("drafter"),
        may_approve=actor.may("approver") and batch.drafter != actor.id,
        may_run=actor.may("approver"),
        progress=context.site.batches.progress(actor, batch.id) if batch.started_at else None,
        columns=[lang.pick(field.labels) for field in fields.values()],
        rows=rows,
        next=sample.next,
        reason="",
        **values,
    )


def _stray(lang: Language, kind: CertificateType, column: UnknownColumn) -> Stray:
    field = kind.fields.get(column.field)
    return Stray(column.name, lang.pick(field.labels) if field else "", column.tells_state)


def row_mistake(lang: Language, error: RowError) -> RowMistake:
    """Rule and fix in the reader's language; the catalogue's detail names forms and choices."""
    known = lang.knows(f"rule.{error.rule}")
    return RowMistake(
        row=error.row,
        column=error.column,
        rule=lang.say(f"rule.{error.rule}") if known else error.rule,
        fix=lang.say(f"fix.{error.rule}") if known else error.fix,
        detail=error.detail,
    )


def _sheet(data: bytes, name: str) -> Response:
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Cache-Control": "no-store",
    }
    return Response(data, media_type="text/csv; charset=utf-8", headers=headers)
