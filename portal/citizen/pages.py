"""The holder's pages: my certificates, one certificate, showing it, and who looked.

Whose a certificate is, is decided by the services below; a certificate that is not yours is a 404.
A show code is made by a POST only, so that neither a link preview nor the back button makes one.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import groupby
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from certificates import Certificate
from foundation.actor import Actor
from ledger import Access
from portal.citizen.access_history import AccessHistoryEntry, look
from portal.citizen.pictures import qr_svg
from portal.frame.forms import sheet_cell
from portal.frame.language import OFFICE_ZONE, Language
from portal.frame.page_context import Form, PageContext
from portal.frame.views import card, effective_state, facts, general_facts

SOON = timedelta(days=60)
WARNED = timedelta(days=30)
PER_PAGE = 50
_USABLE = {"active"}


def router(context: PageContext) -> APIRouter:
    """Routes of /me: the holder's certificates, their PDFs, show codes and the list of looks."""
    pages = APIRouter()
    site = context.site

    @pages.get("/me")
    def me(request: Request) -> Response:
        actor = context.person(request).actor
        lang, now = context.language(request), site.clock()
        held = site.certificates.held_by(actor.subjects)
        cards = [card(lang, site.catalogue.find(each.type), each, now) for each in held]
        recent, _ = _looks(context, lang, actor, _types(held), limit=PER_PAGE)
        soon = (now + SOON).astimezone(OFFICE_ZONE).date()
        return context.page(
            request,
            "me.html",
            certificates=cards,
            expiring=[c for c in cards if c.state == "active" and c.until and c.until <= soon],
            warnings=[each for each in recent if each.is_warning and now - each.at < WARNED],
            looks=[each for each in recent if each.is_look][:3],
        )

    @pages.get("/me/certificates/{identifier}")
    def certificate(request: Request, identifier: str) -> Response:
        actor = context.person(request).actor
        lang, now = context.language(request), site.clock()
        mine = site.certificates.get(actor, identifier)
        kind = site.catalogue.find(mine.type)
        state = effective_state(mine, now)
        history = site.ledger.history(identifier)
        return context.page(
            request,
            "certificate.html",
            certificate=card(lang, kind, mine, now),
            sentence=lang.say(f"sentence.{state}"),
            facts=[*facts(lang, kind, mine.fields), *general_facts(lang, kind, mine)],
            can_show=state in _USABLE,
            history=[look(context, lang, actor, each, {identifier: mine.type}) for each in history],
        )

    @pages.get("/me/certificates/{identifier}/certificate.pdf")
    def pdf(request: Request, identifier: str) -> Response:
        actor = context.person(request).actor
        return pdf_answer(site.certificates.pdf(actor, identifier), identifier)

    @pages.get("/me/certificates/{identifier}/show")
    def ready(request: Request, identifier: str) -> Response:
        actor = context.person(request).actor
        mine = site.certificates.get(actor, identifier)
        lang, kind = context.language(request), site.catalogue.find(mine.type)
        return context.page(
            request, "show_ready.html", certificate=card(lang, kind, mine, site.clock())
        )

    @pages.post("/me/certificates/{identifier}/show")
    def show(request: Request, identifier: str, form: Form) -> Response:
        actor = context.person(request).actor
        context.accept(request, form)
        mine = site.certificates.get(actor, identifier)
        lang, now = context.language(request), site.clock()
        code = site.verifications.create_show_code(actor, identifier)
        return context.page(
            request,
            "show.html",
            certificate=card(lang, site.catalogue.find(mine.type), mine, now),
            code=qr_svg(f"{context.origin}/v/{quote(code.token)}", lang.say("show.code")),
            until=code.expires_at,
            seconds=max(0, int((code.expires_at - now).total_seconds())),
        )

    @pages.post("/me/certificates/{identifier}/show/end")
    def end_showing(request: Request, identifier: str, form: Form) -> Response:
        actor = context.person(request).actor
        context.accept(request, form)
        site.verifications.withdraw_show_codes(actor, identifier)
        return context.go(f"/me/certificates/{identifier}")

    @pages.get("/me/access")
    def access(request: Request, after: str = "") -> Response:
        actor = context.person(request).actor
        lang = context.language(request)
        # An entry may be about a draft, or about somebody else's copy: no page to lead to.
        held = _types(site.certificates.held_by(actor.subjects))
        looks, cursor = _looks(context, lang, actor, held, after=after or None, limit=PER_PAGE)
        days = [
            {"name": lang.date(day), "looks": list(some)}
            for day, some in groupby(looks, key=lambda each: _day(each.at))
        ]
        return context.page(request, "access.html", days=days, held=held, next=cursor)

    @pages.get("/me/access.csv")
    def access_file(request: Request) -> Response:
        actor = context.person(request).actor
        lang = context.language(request)
        headers = {
            "Content-Disposition": 'attachment; filename="who-looked.csv"',
            "Cache-Control": "no-store",
        }
        return StreamingResponse(
            _sheet(context, lang, actor), media_type="text/csv; charset=utf-8", headers=headers
        )

    return pages


def pdf_answer(data: bytes, name: str) -> Response:
    """A sealed PDF as a download."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}.pdf",
        "Cache-Control": "no-store",
    }
    return Response(data, media_type="application/pdf", headers=headers)


def _looks(
    context: PageContext,
    lang: Language,
    actor: Actor,
    types: Mapping[str, str],
    *,
    after: str | None = None,
    limit: int,
) -> tuple[list[AccessHistoryEntry], str | None]:
    """A page of the person's ledger entries as sentences, and the cursor of the next page."""
    page = context.site.ledger.about(actor.subjects, after=after, limit=limit)
    return [look(context, lang, actor, each, types) for each in page.items], page.next


def _types(held: Iterable[Certificate]) -> dict[str, str]:
    return {each.identifier: each.type for each in held}


def _every_access(context: PageContext, actor: Actor) -> Iterator[Access]:
    after = None
    while True:
        page = context.site.ledger.about(actor.subjects, after=after, limit=200)
        yield from page.items
        if (after := page.next) is None:
            return


def _sheet(context: PageContext, lang: Language, actor: Actor) -> Iterator[str]:
    """The export, a row at a time; with a byte-order mark, so that Excel reads UTF-8."""
    names = "entry when who organisation what why legal_basis case fields verdict certificate"
    yield "\ufeff" + _row(str(lang.say(f"access.{name}")) for name in names.split())
    for each in _every_access(context, actor):
        shown = look(context, lang, actor, each)
        yield _row(
            (
                each.entry_id,
                each.at.astimezone(OFFICE_ZONE).isoformat(timespec="seconds"),
                shown.who,
                each.organisation_name,
                shown.what,
                shown.why,
                each.legal_basis,
                each.case_ref,
                shown.fields,
                shown.verdict,
                each.certificate,
            )
        )


def _row(cells: Iterator[str] | tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([sheet_cell(str(cell)) for cell in cells])
    return line.getvalue()


def _day(at: datetime) -> date:
    return at.astimezone(OFFICE_ZONE).date()
