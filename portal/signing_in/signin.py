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


def router(context: PageContext) -> APIRouter:  # noqa: C901 - all routes of the page
    pages = APIRouter()
    idp = context.site.idp

    @pages.get("/signin")
    def signin(request: Request, next: str = "") -> Response:  # noqa: A002 - the field's own name
        return _form(context, request, next=safe_return(next, ""), over=bool(next))

    @pages.post("/signin")
    def signin_send(request: Request, form: Form) -> Response:
        context.accept_from_browser(request, form)
        back = safe_return(forms.text(form, "next"), "")
        return _authenticate(context, request, form, None, back)

    @pages.get("/signin/{interaction_id}")
    def signin_for(request: Request, interaction_id: str) -> Response:
        interaction = _interaction(context, request, interaction_id)
        return _form(context, request, interaction, username=interaction.login_hint)

    @pages.post("/signin/{interaction_id}")
    def signin_for_send(request: Request, interaction_id: str, form: Form) -> Response:
        interaction = _interaction(context, request, interaction_id)
        context.accept_from_browser(request, form)
        return _authenticate(context, request, form, interaction, "")

    @pages.post("/signin/{interaction_id}/continue")
    def signin_continue(request: Request, interaction_id: str, form: Form) -> Response:
        """As whoever signed in in another tab; the form names them, so nobody else will do."""
        _interaction(context, request, interaction_id)
        visitor = context.visitor(request)
        context.accept_from_browser(request, form, about=visitor.actor.id)
        return _follow(idp.resume(interaction_id, visitor.session_id, visitor.browser))

    @pages.get("/consent/{interaction_id}")
    def consent(request: Request, interaction_id: str) -> Response:
        interaction = _interaction(context, request, interaction_id)
        if not context.visitor(request).signed_in:
            return context.go(f"/signin/{interaction_id}")
        return _consent(context, request, interaction)

    @pages.post("/consent/{interaction_id}")
    def consent_send(request: Request, interaction_id: str, form: Form) -> Response:
        interaction = _interaction(context, request, interaction_id)
        visitor = context.visitor(request)
        context.accept_from_browser(request, form, about=visitor.actor.id)
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
        return context.page(request, "signout.html", logout=logout)

    @pages.post("/signout")
    def signout_send(request: Request, form: Form) -> Response:
        context.accept(request, form)
        back = idp.finish_logout(forms.text(form, "logout"), context.cookies.session(request))
        response = context.go("/signed-out")
        if back:
            response.headers["location"] = back
        context.cookies.clear_session(response)
        return response

    @pages.get("/signed-out")
    def signed_out(request: Request) -> Response:
        return context.page(request, "signed_out.html")

    return pages


def _interaction(context: PageContext, request: Request, interaction_id: str) -> Interaction:
    """The sign-in request that this page belongs to, if it is this browser's."""
    browser, session = context.cookies.browser(request), context.cookies.session(request)
    interaction = context.site.idp.interaction(interaction_id, browser, session)
    context.serve(request, interaction)
    return interaction


def _authenticate(
    context: PageContext,
    request: Request,
    form: FormData,
    interaction: Interaction | None,
    back: str,
) -> Response:
    lang = context.language(request)
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
            context, request, interaction, username=username, next=back, status=422, errors=missing
        )
    result = context.site.idp.authenticate(
        interaction.id if interaction else None,
        username=username,
        password=password,
        browser=context.cookies.browser(request),
        session_id=context.cookies.session(request),
    )
    if isinstance(result, Rejected):
        return _rejected(context, request, result, interaction, username, back)
    response = _follow(result.next) if result.next else context.go(back or _home(result))
    context.cookies.set_session(response, result.session_id)
    return response


def _rejected(
    context: PageContext,
    request: Request,
    result: Rejected,
    interaction: Interaction | None,
    username: str,
    back: str,
) -> Response:
    """Wrong and unknown look the same; too many tries name the time of the next one."""
    lang = context.language(request)
    shown: dict[str, Any] = {"username": username, "next": back, "status": 422}
    if result.retry_after:
        again = problems.later(context.site.clock(), result.retry_after)
        shown["errors"] = problems.one(lang, "username", "signin.locked", time=lang.time(again))
        shown["status"] = 429
        shown["retry_after"] = result.retry_after
    else:
        shown["errors"] = problems.one(lang, "username", "signin.rejected")
    return _form(context, request, interaction, **shown)


def _form(
    context: PageContext,
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
    return context.page(
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


def _consent(context: PageContext, request: Request, interaction: Interaction) -> Response:
    lang = context.language(request)
    claims = [
        {"name": each.name, "label": lang.pick(each.label), "essential": each.essential}
        for each in interaction.claims
    ]
    return context.page(
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
