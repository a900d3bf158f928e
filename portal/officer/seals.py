"""The seal keeper's pages (国办发〔2025〕33号): apply, decide, make, file, use, suspend, end.

A seal is applied for by one officer and decided by another; what it will look like is drawn before
anybody applies. Which steps a state allows is decided by the register; the pages offer what it
names as next, and show the present state again when somebody else was faster (409).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foundation.actor import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Invalid, NotFound, Refused, YinzhengError
from keys.encoding.x509 import RevocationReason
from portal.frame import forms, problems
from portal.frame.language import Language
from portal.frame.page_context import Form, PageContext
from portal.frame.problems import Mistake
from signing import SealApplication, SealEntry, SealKind, Seals, SealState

# What a keeper may do next, by the state of the seal; deciding waits for an application.
STEPS: Mapping[SealState, tuple[str, ...]] = {
    SealState.MADE: ("file",),
    SealState.FILED: ("activate",),
    SealState.ACTIVE: ("renew", "suspend", "revoke"),
    SealState.SUSPENDED: ("renew", "resume", "revoke"),
    SealState.REVOKED: ("destroy",),
}
ACTS = ("approve", "reject", "make", "file", "activate", "suspend", "resume", "revoke", "destroy")
_WITHOUT_REASON = {"approve", "make", "activate"}
_GRAVE = {"reject", "suspend", "revoke", "destroy"}
_TONES = {SealState.ACTIVE: "good", SealState.SUSPENDED: "care", SealState.REVOKED: "bad"}


@dataclass(frozen=True, slots=True)
class SealHistoryLine:
    """A dated line of a seal's life: what it became, or what was applied for, by whom and why."""

    at: datetime
    what: str
    who: str
    why: str


def router(context: PageContext) -> APIRouter:
    """Routes of /staff/seals: the authority's seals, applying with a preview, the acts on one."""
    pages = APIRouter(prefix="/staff/seals")
    site = context.site

    @pages.get("")
    def overview(request: Request) -> Response:
        actor = context.officer(request).actor
        entries = site.seals.entries(actor.organisation)
        return context.page(request, "seals.html", entries=entries, tones=_TONES)

    @pages.get("/new")
    def new(request: Request) -> Response:
        context.officer(request)
        return _form(context, request, {})

    @pages.post("/new")
    def apply(request: Request, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        typed = {name: forms.text(form, name, 80) for name in ("name", "code", "kind", "line")}
        try:
            application = _application(actor, typed)
            picture = site.seals.preview(application)
            if form.get("then") != "apply":
                return _form(context, request, typed, picture=picture)
            with site.database.write() as tx:
                seal_id = site.seals.apply(tx, application, by=actor, now=site.clock())
        except (Invalid, Conflict) as problem:
            return _form(context, request, typed, problem=problem)
        return context.go(f"/staff/seals/{seal_id}")

    @pages.get("/preview.svg")
    def preview(request: Request, name: str, code: str, line: str = "") -> Response:
        actor = context.officer(request).actor
        kind = str(SealKind.DEPARTMENT if line else SealKind.STATUTORY)
        application = _application(actor, {"name": name, "code": code, "line": line, "kind": kind})
        return Response(
            site.seals.preview(application), media_type="image/svg+xml", headers=_PRIVATE
        )

    @pages.get("/{seal_id}")
    def seal(request: Request, seal_id: str) -> Response:
        actor = context.officer(request).actor
        return _seal(context, request, site.seals.entry(seal_id, by=actor))

    @pages.get("/{seal_id}/{act}")
    def ask(request: Request, seal_id: str, act: str) -> Response:
        actor = context.officer(request).actor
        return _act_page(context, request, site.seals.entry(seal_id, by=actor), act)

    @pages.post("/{seal_id}/{act}")
    def do(request: Request, seal_id: str, act: str, form: Form) -> Response:
        actor = context.officer(request).actor
        context.accept(request, form)
        entry = site.seals.entry(seal_id, by=actor)
        reason = forms.paragraph(form, "reason", 500)
        if not reason and act not in _WITHOUT_REASON:
            missing = problems.one(context.language(request), "reason", "seals.reason_missing")
            return _act_page(context, request, entry, act, errors=missing, status=422)
        stolen = form.get("stolen") == "yes"
        try:
            with site.database.write() as tx:
                _take_step(site.seals, tx, seal_id, act, actor, site.clock(), reason, stolen)
        except (Invalid, Conflict, Refused) as problem:
            entry = site.seals.entry(seal_id, by=actor)
            errors = problems.mistakes(context.language(request), problem)
            return _act_page(context, request, entry, act, reason, errors, problem.status)
        return context.go(f"/staff/seals/{seal_id}")

    return pages


_PRIVATE = {"Cache-Control": "no-store"}


def _take_step(
    seals: Seals,
    tx: Tx,
    seal_id: str,
    act: str,
    by: Actor,
    now: datetime,
    reason: str,
    stolen: bool,
) -> None:
    """The register's method for an act. Raises what the register raises, `NotFound` for no act."""
    match act:
        case "approve":
            seals.approve(tx, seal_id, by=by, now=now, note=reason)
        case "reject":
            seals.reject(tx, seal_id, by=by, now=now, note=reason)
        case "make":
            seals.make(tx, seal_id, by=by, now=now)
        case "file":
            seals.file(tx, seal_id, by=by, now=now, reference=reason)
        case "activate":
            seals.activate(tx, seal_id, by=by, now=now)
        case "renew":
            seals.apply_for_version(tx, seal_id, by=by, now=now, reason=reason)
        case "suspend":
            seals.suspend(tx, seal_id, by=by, now=now, reason=reason)
        case "resume":
            seals.resume(tx, seal_id, by=by, now=now, reason=reason)
        case "revoke":
            cause = (
                RevocationReason.KEY_COMPROMISE
                if stolen
                else RevocationReason.CESSATION_OF_OPERATION
            )
            seals.revoke(tx, seal_id, by=by, now=now, reason=reason, cause=cause)
        case "destroy":
            seals.destroy(tx, seal_id, by=by, now=now, reason=reason)
        case _:
            raise NotFound("there is no such act")


def _application(actor: Actor, typed: Mapping[str, str]) -> SealApplication:
    """What was typed, for the officer's own department; the officer answers for the seal."""
    kind = SealKind(typed["kind"]) if typed.get("kind") in set(SealKind) else SealKind.STATUTORY
    return SealApplication(
        owner=actor.organisation,
        owner_name=actor.organisation_name,
        name=typed["name"],
        code=forms.as_code(typed["code"]),
        kind=kind,
        line="" if kind == SealKind.STATUTORY else typed.get("line", ""),
        keeper=actor.id,
        keeper_name=actor.name,
    )


def _form(
    context: PageContext,
    request: Request,
    typed: Mapping[str, str],
    *,
    picture: str = "",
    problem: YinzhengError | None = None,
) -> Response:
    lang, actor = context.language(request), context.visitor(request).actor
    values = {"name": actor.organisation_name, "code": "", "kind": "statutory", "line": ""}
    return context.page(
        request,
        "seal_new.html",
        status=problem.status if problem else 200,
        errors=[Mistake("name", problems.sentence(lang, problem))] if problem else [],
        kinds=[(str(kind), lang.say(f"seals.kind.{kind}")) for kind in SealKind],
        typed=values | dict(typed),
        drawn=bool(picture),
    )


def _seal(context: PageContext, request: Request, entry: SealEntry) -> Response:
    actor = context.visitor(request).actor
    return context.page(
        request,
        "seal.html",
        entry=entry,
        tone=_TONES.get(entry.state, "plain"),
        made=context.site.seals.get(entry.id) if entry.version else None,
        steps=_steps(context, entry) if actor.may("keeper") or actor.may("approver") else [],
        own=entry.waiting is not None and entry.waiting.applied_by == actor.id,
        lines=_lines(context, context.language(request), entry),
    )


def _steps(context: PageContext, entry: SealEntry) -> Sequence[str]:
    if entry.waiting is not None:
        return ("approve", "reject")
    applications = context.site.seals.applications(entry.id)
    granted = [each for each in applications if each.decision == "approved"]
    if any(each.version > entry.version for each in granted):
        return ("make", *STEPS.get(entry.state, ()))
    return STEPS.get(entry.state, ())


def _lines(context: PageContext, lang: Language, entry: SealEntry) -> list[SealHistoryLine]:
    """States and applications as one story, newest first, with the names of people."""
    history = context.site.seals.history(entry.id)
    later = [each for each in context.site.seals.applications(entry.id) if each.version > 1]
    names = context.site.idp.people.names(
        {each.by for each in history} | {each.applied_by for each in later}
    )

    def who(person: str) -> str:
        return names.get(person, "") or lang.say("access.system")

    lines = [
        SealHistoryLine(each.since, lang.say(f"seal.state.{each.state}"), who(each.by), each.reason)
        for each in history
    ]
    lines += [
        SealHistoryLine(
            each.applied_at,
            lang.say("seals.version_asked", version=each.version),
            who(each.applied_by),
            each.reason,
        )
        for each in later
    ]
    return sorted(lines, key=lambda line: line.at)[::-1]  # steps of one moment keep their order


def _act_page(
    context: PageContext,
    request: Request,
    entry: SealEntry,
    act: str,
    reason: str = "",
    errors: Sequence[Mistake] = (),
    status: int = 200,
) -> Response:
    if act not in (*ACTS, "renew"):
        raise NotFound("there is no such act")
    return context.page(
        request,
        "seal_act.html",
        status=status,
        errors=errors,
        entry=entry,
        act=act,
        reason=reason,
        wants_reason=act not in _WITHOUT_REASON,
        grave=act in _GRAVE,
    )
