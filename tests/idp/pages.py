"""The pages of a sign-in in front of the identity provider alone, for tests on both databases."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from jinja2 import ChoiceLoader, DictLoader

from idp import Idp
from idp.protocol.profiles import must_push
from idp.web.routes import router
from portal import PageContext
from portal.signing_in import signin
from server.web import problems
from tests.idp.world import ISSUER, RelyingParty
from tests.portal.surfer import Page, Surfer
from tests.simulators.clock import MovableClock


def context_of(idp: Idp, clock: MovableClock) -> PageContext:
    """What the pages share; they need no more of an installation than this."""
    settings = SimpleNamespace(mode="production", public_url=ISSUER, proxies=())
    site: Any = SimpleNamespace(idp=idp, clock=clock, settings=settings)
    return PageContext(site)


def app_of(idp: Idp, context: PageContext) -> FastAPI:
    app = FastAPI()
    app.include_router(router(idp))
    app.include_router(signin.router(context))
    problems.install(app, context.error_page)
    return app


def add_page(context: PageContext, name: str, template: str, sentences: dict[str, str]) -> None:
    """A template of one authenticator and its sentences, as if their files lay in the portal."""
    environment = context.pages._environment
    assert environment.loader is not None
    more = DictLoader({f"authenticators/{name}.html": template})
    environment.loader = ChoiceLoader([more, environment.loader])
    for language in context.pages.languages:
        language.sentences.update({key: (text,) for key, text in sentences.items()})


def authorize(surfer: Surfer, client: RelyingParty, **changes: str | None) -> Page:
    """A client sends its person here, pushed where it must be; a second goes by on the page."""
    params = client.request(**changes)
    asked = client.push(params) if must_push(client.registered) else params
    page = surfer.get("/oauth/authorize?" + urlencode(asked))
    client.world.clock.advance(timedelta(seconds=1))
    return page
