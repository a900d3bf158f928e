"""Signing in, consent, signing out. The identity provider decides; these pages draw its decisions.

A sign-in form hangs on the browser's cookie, not on a session, so that several tabs can sign in at
the same time. After a POST the browser may be sent to a client of another origin, which may send it
further: `server/web/middleware.py` says what that means for the policy of these pages.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from idp import Authenticated, Decision, Interaction, Rejected
from idp import render as render_decision
from portal.frame import forms, problems
from portal.frame.page_context import Form, PageContext
from portal.frame.problems import Mistake
from portal.frame.session import safe_return

HOME_OF_OFFICERS = "/staff"
HOME_OF_CITIZENS = "/me"


def router(desk: PageContext) -> APIRouter:  # noqa: C901 - all routes of the page
    pages = APIRouter()
    idp = desk.house.idp

    @pages.get("/signin")
    def signin(request: Request, next: str = "") -> Response:  # noqa: A002 - the field's own name
        return _form(desk, request, next=safe_return(next, ""), over=bool(next))

    @pages.post("/signin")
    def signin_send(request: Request, form: Form) -> Response:
        desk.accept_from_browser(request, form)
        back = safe_return(forms.text(form, "next"), "")
        return _authenticate(desk, request, form, None, back)

    @pages.get("/signin/{interaction_id}")
    def signin_for(request: Request, interaction_id: str) -> Response:
        interaction = _interaction(desk, request, interaction_id)
        return _form(desk, request, interaction, username=interaction.login_hint)

    @pages.post("/signin/{interaction_id}")
    def signin_for_send(request: Request, interaction_id: str, form: Form) -> Response:
        interaction = _interaction(desk, request, interaction_id)
        desk.accept_from_browser(request, form)
        return _authenticate(desk, request, form, interaction, "")

    @pages.post("/signin/{interaction_id}/continue")
    def signin_continue(request: Request, interaction_id: str, form: Form) -> Response:
        """As whoever signed in in another tab; the form names them, so nobody else will do."""
        _interaction(desk, request, interaction_id)
        visitor = desk.visitor(request)
        desk.accept_from_browser(request, form, about=visitor.actor.id)
        return _follow(idp.resume(interaction_id, visitor.session_id, visitor.browser))

    @pages.get("/consent/{interaction_id}")
    def consent(request: Request, interaction_id: str) -> Response:
        interaction = _interaction(desk, request, interaction_id)
        if not desk.visitor(request).signed_in:
            return desk.go(f"/signin/{interaction_id}")
        return _consent(desk, request, interaction)

    @pages.post("/consent/{interaction_id}")
    def consent_send(request: Request, interaction_id: str, form: Form) -> Response:
        interaction = _interaction(desk, request, interaction_id)
        visitor = desk.visitor(request)
        desk.accept_from_browser(request, form, about=visitor.actor.id)
        optional = {str(value) for value in form.getlist("claim")}
        essential = {each.name for each in interaction.claims if each.essential}
        decision = idp.decide_consent(
            interaction_id,
            visitor.session_id,
            form.get("decision") == "allow",
            optional | essential,
            visitor.browser,
        )
        return _follow(decision)

    @pages.get("/signout")
    def signout(request: Request, logout: str = "") -> Response:
        return desk.page(request, "signout.html", logout=logout)

    @pages.post("/signout")
    def signout_send(request: Request, form: Form) -> Response:
        desk.accept(request, form)
        back = idp.finish_logout(forms.text(form, "logout"), desk.cookies.session(request))
        response = desk.go("/signed-out")
        if back:
            response.headers["location"] = back
        desk.cookies.clear_session(response)
        return response

    @pages.get("/signed-out")
    def signed_out(request: Request) -> Response:
        return desk.page(request, "signed_out.html")

    return pages


def _interaction(desk: PageContext, request: Request, interaction_id: str) -> Interaction:
    """The sign-in request that this page belongs to, if it is this browser's."""
    browser, session = desk.cookies.browser(request), desk.cookies.session(request)
    interaction = desk.house.idp.interaction(interaction_id, browser, session)
    desk.serve(request, interaction)
    return interaction


def _authenticate(
    desk: PageContext, request: Request, form: FormData, interaction: Interaction | None, back: str
) -> Response:
    lang = desk.language(request)
    username = forms.text(form, "username", 200)
    password = form.get("password")
    password = password if isinstance(password, str) else ""
    missing = [
        Mistake(name, lang.say(f"signin.{name}_missing"))
        for name, value in (("username", username), ("password", password))
        if not value
    ]
    if missing:
        return _form(
            desk, request, interaction, username=username, next=back, status=422, errors=missing
        )
    result = desk.house.idp.authenticate(
        interaction.id if interaction else None,
        username=username,
        password=password,
        browser=desk.cookies.browser(request),
        session_id=desk.cookies.session(request),
    )
    if isinstance(result, Rejected):
        return _rejected(desk, request, result, interaction, username, back)
    response = _follow(result.next) if result.next else desk.go(back or _home(result))
    desk.cookies.set_session(response, result.session_id)
    return response


def _rejected(
    desk: PageContext,
    request: Request,
    result: Rejected,
    interaction: Interaction | None,
    username: str,
    back: str,
) -> Response:
    """Wrong and unknown look the same; too many tries name the time of the next one."""
    lang = desk.language(request)
    shown: dict[str, Any] = {"username": username, "next": back, "status": 422}
    if result.retry_after:
        again = problems.later(desk.house.clock(), result.retry_after)
        shown["errors"] = problems.one(lang, "username", "signin.locked", time=lang.time(again))
        shown["status"] = 429
        shown["retry_after"] = result.retry_after
    else:
        shown["errors"] = problems.one(lang, "username", "signin.rejected")
    return _form(desk, request, interaction, **shown)


def _form(
    desk: PageContext,
    request: Request,
    interaction: Interaction | None = None,
    *,
    username: str = "",
    next: str = "",  # noqa: A002
    over: bool = False,
    retry_after: int = 0,
    **values: Any,
) -> Response:
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return desk.page(
        request,
        "signin.html",
        action=f"/signin/{interaction.id}" if interaction else "/signin",
        client=interaction.client if interaction else None,
        ready=interaction is not None and interaction.ready,
        username=username,
        next=next,
        over=over,
        headers=headers,
        **values,
    )


def _consent(desk: PageContext, request: Request, interaction: Interaction) -> Response:
    lang = desk.language(request)
    claims = [
        {"name": each.name, "label": lang.pick(each.label), "essential": each.essential}
        for each in interaction.claims
    ]
    return desk.page(
        request,
        "consent.html",
        action=f"/consent/{interaction.id}",
        client=interaction.client,
        claims=claims,
    )


def _follow(decision: Decision) -> Response:
    """Where the identity provider's decision leads; it answers 303 or draws a refusal."""
    return render_decision(decision)


def _home(result: Authenticated) -> str:
    return HOME_OF_OFFICERS if result.person.actor.organisation else HOME_OF_CITIZENS
