"""Pages for everybody: start page, issuers and their seals, status, statements, static files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foundation.errors import NotFound
from portal.frame.page_context import PageContext
from portal.frame.views import own

# Statement pages: the sections each one has, in order. The words are in the catalogues.
STATEMENTS = {
    "help": ("signin", "show", "wrong", "verdicts", "officers", "contact"),
    "accessibility": ("works", "checked", "limits", "report"),
    "privacy": ("held", "seen", "logged", "cookies", "rights"),
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One part of the service and whether it answered just now."""

    name: str
    well: bool


def router(context: PageContext) -> APIRouter:
    """Routes of the start page, issuers and their seals, status, statements and static files."""
    pages = APIRouter()
    site = context.site

    @pages.get("/")
    def home(request: Request) -> Response:
        return context.page(request, "home.html")

    @pages.get("/issuers")
    def issuers(request: Request) -> Response:
        lang = context.language(request)
        seals = [(seal, own(lang, seal.owner_name)) for seal in site.seals.all()]
        return context.page(request, "issuers.html", seals=seals)

    @pages.get("/issuers/{seal_id}.svg")
    def seal_picture(seal_id: str) -> Response:
        picture = site.seals.svg(site.seals.get(seal_id))
        headers = {"Cache-Control": "public, max-age=300"}
        return Response(picture, media_type="image/svg+xml", headers=headers)

    @pages.get("/status")
    def status(request: Request) -> Response:
        parts = list(_probes(context))
        return context.page(
            request,
            "status.html",
            parts=parts,
            all_well=all(part.well for part in parts),
            now=site.clock(),
            checkpoint=_checkpoint(context),
        )

    @pages.get("/help")
    def help_page(request: Request) -> Response:
        return _statement(context, request, "help")

    @pages.get("/accessibility")
    def accessibility(request: Request) -> Response:
        return _statement(context, request, "accessibility")

    @pages.get("/privacy")
    def privacy(request: Request) -> Response:
        return _statement(context, request, "privacy")

    @pages.get("/static/{name}")
    def static(name: str, v: str = "") -> Response:
        asset = context.pages.assets.get(name)
        if asset is None:
            raise NotFound("there is no such file")
        # Only the address that names this very content may be kept for ever.
        kept = "public, max-age=31536000, immutable" if v == asset.version else "no-cache"
        return Response(asset.body, media_type=asset.media_type, headers={"Cache-Control": kept})

    @pages.get("/favicon.ico")
    def favicon() -> Response:
        return Response(context.pages.assets["seal.svg"].body, media_type="image/svg+xml")

    return pages


def _statement(context: PageContext, request: Request, name: str) -> Response:
    return context.page(request, "prose.html", name=name, parts=STATEMENTS[name])


def _probes(context: PageContext) -> Iterator[Probe]:
    site = context.site

    checks: tuple[tuple[str, Callable[[], object]], ...] = (
        ("database", site.database.ping),
        ("keys", lambda: site.keys.active("certificates.qr")),
        ("seals", site.seals.all),
        ("ledger_writes", site.ledger.checkpoint),
    )
    for name, check in checks:
        yield Probe(name, _answers(check))


def _answers(check: Callable[[], object]) -> bool:
    """Whatever goes wrong in a probe is the answer of the probe."""
    try:
        check()
    except Exception:
        return False
    return True


def _checkpoint(context: PageContext) -> str:
    return context.site.ledger.checkpoint() if _answers(context.site.ledger.checkpoint) else ""
