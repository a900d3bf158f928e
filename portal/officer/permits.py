"""Permits to use a seal (用印审批): asked by one officer, granted by another, used by uploading.

Everything but an approved certificate that is to be sealed needs one: for one purpose, so often,
until a day. What the officer uploads comes back sealed; the service keeps no copy, only the entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import PurePath
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foundation.actor import Actor
from foundation.errors import Conflict, Invalid, Refused, TooLarge
from portal.frame import forms, problems
from portal.frame.language import OFFICE_ZONE, Language
from portal.frame.page_context import Form, PageContext, upload
from portal.frame.problems import Mistake
from portal.officer.documents import read_upload
from signing import (
    LARGEST_QUOTA,
    LONGEST_NAME,
    MAX_DOCUMENT,
    Permit,
    SealEntry,
    permit_state,
    seal_under_permit,
)
from signing.formats import SIGNATURES, SealPlace, SignatureFormat

_TONES = {"in_force": "good", "asked": "care", "withdrawn": "bad"}
_USUAL_DAYS = 30


@dataclass(frozen=True, slots=True)
class PermitOnPage:
    """A permit with the names of people and where it stands."""

    permit: Permit
    state: str
    tone: str
    asked_by: str
    decided_by: str
    ended_by: str


def router(context: PageContext) -> APIRouter:
    """Routes of a seal's permits: list, ask, approve, withdraw, and seal an upload under one."""
    pages = APIRouter(prefix="/staff/seals/{seal_id}/permits")
    site = context.site

    @pages.get("")
    def overview(request: Request, seal_id: str) -> Response:
        entry = site.seals.entry(seal_id, by=context.officer(request).actor)
        with site.database.read() as tx:
            found = site.seals.permits.of(tx, seal_id)
        return context.page(
            request, "permits.html", entry=entry, lines=_lines(context, request, found)
        )

    @pages.get("/new")
    def new(request: Request, seal_id: str) -> Response:
        entry = site.seals.entry(seal_id, by=context.officer(request).actor)
        return _form(context, request, entry, {})

    @pages.post("/new")
    def ask(request: Request, seal_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        entry = site.seals.entry(seal_id, by=actor)
        typed = {"purpose": forms.text(form, "purpose", 200)}
        typed |= {name: forms.code(form, name, 20) for name in ("quota", "until")}
        now = site.clock()
        if wrong := _mistakes(context.language(request), typed, now):
            return _form(context, request, entry, typed, wrong)
        with site.database.write() as tx:
            permit = site.seals.permits.ask(
                tx,
                seal_id,
                purpose=typed["purpose"],
                quota=int(typed["quota"]),
                by=actor,
                now=now,
                until=_end_of(date.fromisoformat(typed["until"])),
            )
        return context.go(f"/staff/seals/{seal_id}/permits/{permit}")

    @pages.get("/{permit_id}")
    def permit(request: Request, seal_id: str, permit_id: str) -> Response:
        return _permit(context, request, seal_id, permit_id)

    @pages.post("/{permit_id}/approve")
    def approve(request: Request, seal_id: str, permit_id: str, form: Form) -> Response:
        return _decided(context, request, seal_id, permit_id, form, "approve")

    @pages.post("/{permit_id}/withdraw")
    def withdraw(request: Request, seal_id: str, permit_id: str, form: Form) -> Response:
        return _decided(context, request, seal_id, permit_id, form, "withdraw")

    @pages.post("/{permit_id}/use")
    def use(request: Request, seal_id: str, permit_id: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        _entry, found = _found(context, actor, seal_id, permit_id)
        file = upload(form, "file")
        if file is None:
            missing = problems.one(context.language(request), "file", "permits.file_missing")
            return _permit(context, request, seal_id, permit_id, missing, 422)
        how = _how(form)
        page = forms.code(form, "page", 6)
        place = SealPlace(page=max(1, int(page)) - 1 if page.isdecimal() else 0)
        try:
            data = read_upload(file, MAX_DOCUMENT)
            sealed = seal_under_permit(
                site, data, seal_id, permit_id, found.purpose, how, place, by=actor
            )
        except (Invalid, Conflict, Refused, TooLarge) as problem:
            errors = [Mistake("file", problems.sentence(context.language(request), problem))]
            return _permit(context, request, seal_id, permit_id, errors, problem.status)
        return _download(sealed.data, file.filename or "", how)

    return pages


def _decided(
    context: PageContext, request: Request, seal_id: str, permit_id: str, form: Form, act: str
) -> Response:
    """Grant or end a permit; the page says why not."""
    actor, site = context.officer(request).actor, context.site
    context.accept(request, form)
    _found(context, actor, seal_id, permit_id)
    try:
        with site.database.write() as tx:
            getattr(site.seals.permits, act)(tx, permit_id, by=actor, now=site.clock())
    except (Conflict, Refused) as problem:
        errors = problems.mistakes(context.language(request), problem)
        return _permit(context, request, seal_id, permit_id, errors, problem.status)
    return context.go(f"/staff/seals/{seal_id}/permits/{permit_id}")


def _found(
    context: PageContext, actor: Actor, seal_id: str, permit_id: str
) -> tuple[SealEntry, Permit]:
    """A permit of the officer's own department. Raises `UnknownSeal`, `UnknownPermit`."""
    entry = context.site.seals.entry(seal_id, by=actor)
    with context.site.database.read() as tx:
        return entry, context.site.seals.permits.get(tx, seal_id, permit_id)


def _permit(
    context: PageContext,
    request: Request,
    seal_id: str,
    permit_id: str,
    errors: Sequence[Mistake] = (),
    status: int = 200,
) -> Response:
    actor = context.officer(request).actor
    entry, found = _found(context, actor, seal_id, permit_id)
    line = _lines(context, request, [found])[0]
    own = found.asked_by == actor.id
    decides = actor.may("keeper") or actor.may("approver")
    return context.page(
        request,
        "permit.html",
        status=status,
        errors=errors,
        entry=entry,
        line=line,
        own=own,
        may_approve=decides and not own and line.state == "asked",
        may_end=decides and line.state in {"asked", "in_force"},
        may_use=own and line.state == "in_force",
        hows=[(name, _said(context.language(request), name)) for name in SIGNATURES],
    )


def _lines(context: PageContext, request: Request, found: Sequence[Permit]) -> list[PermitOnPage]:
    people = {one for each in found for one in (each.asked_by, each.approved_by, each.withdrawn_by)}
    names = context.site.idp.people.names({person for person in people if person})
    now, system = context.site.clock(), context.language(request).say("access.system")

    def who(person: str | None) -> str:
        return names.get(person, system) if person else ""

    lines = []
    for each in found:
        state = permit_state(each, now)
        people_of = (who(each.asked_by), who(each.approved_by), who(each.withdrawn_by))
        lines.append(PermitOnPage(each, state, _TONES.get(state, "plain"), *people_of))
    return lines


def _form(
    context: PageContext,
    request: Request,
    entry: SealEntry,
    typed: Mapping[str, str],
    errors: Sequence[Mistake] = (),
) -> Response:
    until = context.site.clock().astimezone(OFFICE_ZONE).date() + timedelta(days=_USUAL_DAYS)
    usual = {"purpose": "", "quota": "1", "until": until.isoformat()}
    return context.page(
        request,
        "permit_new.html",
        status=422 if errors else 200,
        errors=errors,
        entry=entry,
        typed=usual | dict(typed),
    )


def _mistakes(lang: Language, typed: Mapping[str, str], now: datetime) -> list[Mistake]:
    """What cannot be asked for, field by field; the register checks it again."""
    found = []
    if not 0 < len(typed["purpose"]) <= LONGEST_NAME:
        found += problems.one(lang, "purpose", "permits.purpose_wrong", most=LONGEST_NAME)
    quota = typed["quota"]
    if not (quota.isascii() and quota.isdecimal() and 0 < int(quota) <= LARGEST_QUOTA):
        found += problems.one(lang, "quota", "permits.quota_wrong", most=lang.number(LARGEST_QUOTA))
    if not _is_to_come(typed["until"], now):
        found += problems.one(lang, "until", "permits.until_wrong")
    return found


def _is_to_come(text: str, now: datetime) -> bool:
    try:
        return _end_of(date.fromisoformat(text)) > now
    except ValueError:
        return False


def _end_of(day: date) -> datetime:
    """The last second of a day, where the office is."""
    return datetime.combine(day, time(23, 59, 59), OFFICE_ZONE)


def _how(form: Form) -> SignatureFormat:
    """The format that was chosen; the first of the table when it is none of them."""
    return SIGNATURES.get(str(form.get("how"))) or next(iter(SIGNATURES.values()))


def _said(lang: Language, name: str) -> str:
    """What a format is called on the page; its bare name until the languages have a sentence."""
    key = f"permits.how.{name}"
    return lang.say(key) if lang.knows(key) else name.upper()


def _download(data: bytes, filename: str, how: SignatureFormat) -> Response:
    name = forms.without_invisible(filename)[-120:] or "document"
    if not how.beside:  # the file itself, so its ending becomes that of the sealed one
        name = PurePath(name).stem
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name + how.suffix)}",
        "Cache-Control": "no-store",
    }
    return Response(data, media_type=how.media_type, headers=headers)
