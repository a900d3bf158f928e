"""The pages: what citizens, officers, agencies and the public see, in three languages.

    frame/        what every page shares: language, form tokens, refusals, templates
    public/       start page, issuers, help, verification, a start for developers
    signing_in/   sign-in, consent, sign-out; signing in another device
    citizen/      my certificates, showing one, who looked
    officer/      drafts, bulk, the register, seals and permits

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

__all__ = ["PageContext", "Site", "build", "open_context"]


def open_context(site: Site) -> PageContext:
    """What all pages of an installation share; its `error_page` draws refusals for people."""
    return PageContext(site)


def build(site: Site, context: PageContext | None = None) -> APIRouter:
    """Every page, as one router. None of them is part of the API description."""
    context = context or PageContext(site)
    pages = APIRouter(include_in_schema=False)
    staff = (drafts, register, permits, seals, bulk)  # permits lie below a seal's address
    for each in (public, signin, device, citizen, *staff, verify, documents, developers):
        pages.include_router(each.router(context))
    return pages
