"""The holder's pages: my certificates, one certificate, showing it, and who looked.

Whose a certificate is, is decided by the rooms below; a certificate that is not yours is a 404.
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


def router(desk: PageContext) -> APIRouter:
    pages = APIRouter()
    house = desk.house

    @pages.get("/me")
    def me(request: Request) -> Response:
        actor = desk.person(request).actor
        lang, now = desk.language(request), house.clock()
        held = house.certificates.held_by(actor.subjects)
        cards = [card(lang, house.catalogue.find(each.type), each, now) for each in held]
        recent, _ = _looks(desk, lang, actor, _types(held), limit=PER_PAGE)
        soon = (now + SOON).astimezone(OFFICE_ZONE).date()
        return desk.page(
            request,
            "me.html",
            certificates=cards,
            expiring=[c for c in cards if c.state == "active" and c.until and c.until <= soon],
            warnings=[each for each in recent if each.is_warning and now - each.at < WARNED],
            looks=[each for each in recent if each.is_look][:3],
        )

    @pages.get("/me/certificates/{identifier}")
    def certificate(request: Request, identifier: str) -> Response:
        actor = desk.person(request).actor
        lang, now = desk.language(request), house.clock()
        mine = house.certificates.get(actor, identifier)
        kind = house.catalogue.find(mine.type)
        state = effective_state(mine, now)
        history = house.ledger.history(identifier)
        return desk.page(
            request,
            "certificate.html",
            certificate=card(lang, kind, mine, now),
            sentence=lang.say(f"sentence.{state}"),
            facts=[*facts(lang, kind, mine.fields), *general_facts(lang, kind, mine)],
            can_show=state in _USABLE,
            history=[look(desk, lang, actor, each, {identifier: mine.type}) for each in history],
        )

    @pages.get("/me/certificates/{identifier}/certificate.pdf")
    def pdf(request: Request, identifier: str) -> Response:
        actor = desk.person(request).actor
        return pdf_answer(house.certificates.pdf(actor, identifier), identifier)

    @pages.get("/me/certificates/{identifier}/show")
    def ready(request: Request, identifier: str) -> Response:
        actor = desk.person(request).actor
        mine = house.certificates.get(actor, identifier)
        lang, kind = desk.language(request), house.catalogue.find(mine.type)
        return desk.page(
            request, "show_ready.html", certificate=card(lang, kind, mine, house.clock())
        )

    @pages.post("/me/certificates/{identifier}/show")
    def show(request: Request, identifier: str, form: Form) -> Response:
        actor = desk.person(request).actor
        desk.accept(request, form)
        mine = house.certificates.get(actor, identifier)
        lang, now = desk.language(request), house.clock()
        code = house.verifications.create_show_code(actor, identifier)
        return desk.page(
            request,
            "show.html",
            certificate=card(lang, house.catalogue.find(mine.type), mine, now),
            code=qr_svg(f"{desk.origin}/v/{quote(code.token)}", lang.say("show.code")),
            until=code.expires_at,
            seconds=max(0, int((code.expires_at - now).total_seconds())),
        )

    @pages.post("/me/certificates/{identifier}/show/end")
    def end_showing(request: Request, identifier: str, form: Form) -> Response:
        actor = desk.person(request).actor
        desk.accept(request, form)
        house.verifications.withdraw_show_codes(actor, identifier)
        return desk.go(f"/me/certificates/{identifier}")

    @pages.get("/me/access")
    def access(request: Request, after: str = "") -> Response:
        actor = desk.person(request).actor
        lang = desk.language(request)
        # An entry may be about a draft, or about somebody else's copy: no page to lead to.
        held = _types(house.certificates.held_by(actor.subjects))
        looks, cursor = _looks(desk, lang, actor, held, after=after or None, limit=PER_PAGE)
        days = [
            {"name": lang.date(day), "looks": list(some)}
            for day, some in groupby(looks, key=lambda each: _day(each.at))
        ]
        return desk.page(request, "access.html", days=days, held=held, next=cursor)

    @pages.get("/me/access.csv")
    def access_file(request: Request) -> Response:
        actor = desk.person(request).actor
        lang = desk.language(request)
        headers = {
            "Content-Disposition": 'attachment; filename="who-looked.csv"',
            "Cache-Control": "no-store",
        }
        return StreamingResponse(
            _sheet(desk, lang, actor), media_type="text/csv; charset=utf-8", headers=headers
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
    desk: PageContext,
    lang: Language,
    actor: Actor,
    types: Mapping[str, str],
    *,
    after: str | None = None,
    limit: int,
) -> tuple[list[AccessHistoryEntry], str | None]:
    """A page of the person's ledger entries as sentences, and the cursor of the next page."""
    page = desk.house.ledger.about(actor.subjects, after=after, limit=limit)
    return [look(desk, lang, actor, each, types) for each in page.items], page.next


def _types(held: Iterable[Certificate]) -> dict[str, str]:
    return {each.identifier: each.type for each in held}


def _every_access(desk: PageContext, actor: Actor) -> Iterator[Access]:
    after = None
    while True:
        page = desk.house.ledger.about(actor.subjects, after=after, limit=200)
        yield from page.items
        if (after := page.next) is None:
            return


def _sheet(desk: PageContext, lang: Language, actor: Actor) -> Iterator[str]:
    """The export, a row at a time; with a byte-order mark, so that Excel reads UTF-8."""
    names = "entry when who organisation what why legal_basis case fields verdict certificate"
    yield "\ufeff" + _row(str(lang.say(f"access.{name}")) for name in names.split())
    for each in _every_access(desk, actor):
        shown = look(desk, lang, actor, each)
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
