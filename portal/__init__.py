"""The pages: what citizens, officers, agencies and the public see, in three languages.

    session      form tokens, same-origin checks, safe returns
    language     catalogues of sentences, dates and numbers in the reader's language
    render       templates and static files
    desk         receives every request: who is it, is the form theirs, which page is next
    problems     refusals as sentences
    public       start page, issuers, status, help and the statements
    signin       sign-in, consent, sign-out
    device       signing in another device; services told of a sign-out
    citizen      my certificates, showing one, who looked
    officer      drafts, preview, review      register  the authority's certificates, legal acts
    permits      leave to use a seal: asked, granted, used by uploading what is to be sealed
    seals        the keeper's register of seals, from application to destruction
    bulk         upload, dry run, second officer, live progress
    verify       by number, file or photo, and /v/{token} behind every QR code
    documents    any signed document: is it sealed, by whom, and is it unchanged
    developers   a ten-minute start

Promises: every page works without JavaScript and without a request to anybody else; a route calls a
service and draws its answer, and decides nothing; a refused form keeps what was typed, except
secrets; what is not yours looks like what does not exist.
"""

from fastapi import APIRouter

from portal.citizen import pages as citizen
from portal.frame.page_context import PageContext
from portal.frame.site import Site
from portal.officer import bulk, documents, drafts, permits, register, seals
from portal.public import developers, verify
from portal.public import pages as public
from portal.signing_in import device, signin

__all__ = ["PageContext", "Site", "build", "open_desk"]


def open_desk(house: Site) -> PageContext:
    """What all pages of a house share; its `error_page` draws refusals for people."""
    return PageContext(house)


def build(house: Site, desk: PageContext | None = None) -> APIRouter:
    """Every page, as one router. None of them is part of the API description."""
    desk = desk or PageContext(house)
    pages = APIRouter(include_in_schema=False)
    staff = (drafts, register, permits, seals, bulk)  # permits lie below a seal's address
    for room in (public, signin, device, citizen, *staff, verify, documents, developers):
        pages.include_router(room.router(desk))
    return pages
