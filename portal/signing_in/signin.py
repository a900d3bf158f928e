"""Signing in, consent, signing out. The identity provider decides; these pages draw its decisions.

A sign-in form hangs on the browser's cookie, not on a session, so that several tabs can sign in at
the same time. After a POST the browser may be sent to a client of another origin, which may send it
further: `server/web/middleware.py` says what that means for the policy of these pages.
"""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from idp import Authenticated, Challenge, Choose, Decision, Denied, Interaction, weakenings_told
from idp import render as render_decision
from portal.frame import forms, problems
from portal.frame.errors import SignInNeeded
from portal.frame.page_context import Form, PageContext
from portal.frame.problems import Mistake
from portal.frame.session import Visitor, safe_return

HOME_OF_OFFICERS = "/staff"
HOME_OF_CITIZENS = "/me"
_SIGNED_OUT_POLICY = (
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; "
    "form-action 'self'"
)


def router(context: PageContext) -> APIRouter:
    """Routes of sign-in, consent and sign-out, for a service's request or our own pages."""
    pages = APIRouter()
    idp = context.site.idp

    @pages.get("/signin")
    def signin(request: Request, next: str = "") -> Response:  # noqa: A002 - the field's own name
        page = idp.sign_ins.page(None, context.cookies.browser(request), context.now(request))
        return _form(context, request, None, page, next=safe_return(next, ""), over=bool(next))

    @pages.post("/signin")
    def signin_send(request: Request, form: Form) -> Response:
        context.accept_from_browser(request, form)
        back = safe_return(forms.text(form, "next"), "")
        return _authenticate(context, request, form, None, back)

    @pages.get("/signin/{interaction_id}")
    def signin_for(request: Request, interaction_id: str) -> Response:
        interaction = _interaction(context, request, interaction_id, ready=True)
        page = idp.sign_ins.page(
            interaction, context.cookies.browser(request), context.now(request)
        )
        return _form(context, request, interaction, page, username=interaction.login_hint)

    @pages.post("/signin/{interaction_id}")
    def signin_for_send(request: Request, interaction_id: str, form: Form) -> Response:
        interaction = _interaction(context, request, interaction_id)
        context.accept_from_browser(request, form)
        return _authenticate(context, request, form, interaction, "")

    @pages.post("/signin/{interaction_id}/continue")
    def signin_continue(request: Request, interaction_id: str, form: Form) -> Response:
        """As whoever signed in in another tab; the form names them, so nobody else will do."""
        _interaction(context, request, interaction_id)
        visitor = _still_signed_in(context, request, interaction_id)
        context.accept_from_browser(request, form, about=visitor.actor.id)
        return _follow(context, idp.resume(interaction_id, visitor.session_id, visitor.browser))

    @pages.get("/consent/{interaction_id}")
    def consent(request: Request, interaction_id: str) -> Response:
        interaction = _interaction(context, request, interaction_id)
        _still_signed_in(context, request, interaction_id)
        return _consent(context, request, interaction)

    @pages.post("/consent/{interaction_id}")
    def consent_send(request: Request, interaction_id: str, form: Form) -> Response:
        interaction = _interaction(context, request, interaction_id)
        visitor = _still_signed_in(context, request, interaction_id)
        context.accept_from_browser(request, form, about=visitor.actor.id)
        decision = idp.decide_consent(
            interaction_id,
            visitor.session_id,
            form.get("decision") == "allow",
            _allowed(form, interaction),
            visitor.browser,
        )
        return _follow(context, decision)

    @pages.get("/signout")
    def signout(request: Request, logout: str = "") -> Response:
        return context.page(request, "signout.html", logout=logout)

    @pages.post("/signout")
    def signout_send(request: Request, form: Form) -> Response:
        return _sign_out(context, request, form)

    @pages.get("/signed-out")
    def signed_out(request: Request) -> Response:
        return context.page(request, "signed_out.html")

    @pages.get("/signed-out/{name}")
    def signing_out(request: Request, name: str) -> Response:
        return _signing_out(context, request, name)

    return pages


def _allowed(form: FormData, interaction: Interaction) -> set[str]:
    """The claims that were ticked, and those without which the service cannot work."""
    ticked = {str(value) for value in form.getlist("claim")}
    return ticked | {each.name for each in interaction.claims if each.essential}


def _interaction(
    context: PageContext, request: Request, interaction_id: str, *, ready: bool = False
) -> Interaction:
    """The sign-in request that this page belongs to, if it is this browser's; read once a request.
    Whether it is `ready` takes two more questions."""
    context.need_cookie(request)
    browser, session = context.cookies.browser(request), context.cookies.session(request)
    interaction = context.site.idp.interaction(
        interaction_id, browser, session if ready else None, context.now(request)
    )
    context.serve(request, interaction)
    return interaction


def _sign_out(context: PageContext, request: Request, form: FormData) -> Response:
    """End the session and go where the service wants its person. When it is done already, maybe in
    another tab, only the way back is left."""
    session_id = context.cookies.session(request)
    if context.visitor(request).signed_in:
        context.accept(request, form)
    back = context.site.idp.finish_logout(forms.text(form, "logout"), session_id)
    response = context.go("/signed-out")
    response.headers["location"] = back or response.headers["location"]
    if session_id:  # a form of another site comes without it, and must not take it away
        context.cookies.clear_session(response)
    return response


def _signing_out(context: PageContext, request: Request, name: str) -> Response:
    """The page whose frames tell services that the person signed out; only they may be framed. It
    leads on by itself, and without script too. When it is over, only what it came to is said."""
    shown = context.site.idp.front_channel.page(name)
    if shown is None:
        return context.go("/signed-out")
    origins = " ".join(sorted({each.origin for each in shown.services}))
    policy = f"{_SIGNED_OUT_POLICY}; frame-src {origins}"
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
    return context.page(request, "signing_out.html", shown=shown, headers=headers)


def _still_signed_in(context: PageContext, request: Request, interaction_id: str) -> Visitor:
    """Whoever is signed in; a session that ended meanwhile leads to the same sign-in again."""
    visitor = context.visitor(request)
    if not visitor.signed_in:
        raise SignInNeeded("", at=f"/signin/{interaction_id}")
    return visitor


def _authenticate(
    context: PageContext,
    request: Request,
    form: FormData,
    interaction: Interaction | None,
    back: str,
) -> Response:
    """One answer to one authenticator, or the choice of one."""
    idp, browser = context.site.idp, context.cookies.browser(request)
    answer = _answer(form)
    username = answer.get("username", "")
    if missing := [name for name in idp.sign_ins.fields(answer) if not answer.get(name)]:
        lang = context.language(request)
        errors = [Mistake(name, lang.say(f"signin.{name}_missing")) for name in missing]
        page = idp.sign_ins.page(interaction, browser, context.now(request))
        shown: dict[str, Any] = {"username": username, "next": back, "errors": errors}
        return _form(
            context, request, _with_ready(context, request, interaction), page, status=422, **shown
        )
    result = idp.authenticate(
        interaction,
        answer,
        browser=browser,
        session_id=context.cookies.session(request),
        now=context.now(request),
    )
    if isinstance(result, Authenticated):
        response = (
            _follow(context, result.next) if result.next else context.go(back or _home(result))
        )
        context.cookies.set_session(response, result.session_id)
        return response
    interaction = _with_ready(context, request, interaction)
    if isinstance(result, Denied):
        return _denied(context, request, result, interaction, username, back)
    return _form(context, request, interaction, result, next=back)


def _answer(form: FormData) -> dict[str, str]:
    """What was filled in. A user name is one line; anything else is taken as it was typed."""
    answer = {name: value for name, value in form.items() if isinstance(value, str)}
    if "username" in answer:
        answer["username"] = forms.text(form, "username", 200)
    return answer


def _with_ready(
    context: PageContext, request: Request, interaction: Interaction | None
) -> Interaction | None:
    """For a page that offers to go on as whoever is signed in."""
    if interaction is None:
        return None
    session = context.cookies.session(request)
    ready = context.site.idp.sign_ins.ready(interaction, session, context.now(request))
    return replace(interaction, ready=ready)


def _denied(
    context: PageContext,
    request: Request,
    denied: Denied,
    interaction: Interaction | None,
    username: str,
    back: str,
) -> Response:
    """Wrong and unknown look the same; too many tries name the time of the next one."""
    lang, page = context.language(request), denied.page
    shown: dict[str, Any] = {"username": username, "next": back, "status": 422}
    field = page.fields[0] if isinstance(page, Challenge) else ""
    if denied.retry_after:
        again = problems.later(context.now(request), denied.retry_after)
        shown["errors"] = problems.one(lang, field, "signin.locked", time=lang.time(again))
        shown["status"] = 429
        shown["retry_after"] = denied.retry_after
    else:
        by_name = "username" in (page.fields if isinstance(page, Challenge) else ())
        message = "signin.rejected" if by_name else "signin.again"
        shown["errors"] = problems.one(lang, field, message)
    return _form(context, request, interaction, page, **shown)


def _form(
    context: PageContext,
    request: Request,
    interaction: Interaction | None,
    page: Choose | Challenge | None,
    *,
    username: str = "",
    next: str = "",  # noqa: A002
    over: bool = False,
    retry_after: int = 0,
    **values: Any,
) -> Response:
    """The page of a step: a choice, or the form of one authenticator."""
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    asked = page if isinstance(page, Challenge) else None
    return context.page(
        request,
        "signin.html",
        action=f"/signin/{interaction.id}" if interaction else "/signin",
        client=interaction.client if interaction else None,
        ready=interaction is not None and interaction.ready,
        ways=page.authenticators if isinstance(page, Choose) else (),
        way=asked.authenticator if asked else "",
        shown=asked.shown if asked else {},
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
        weakenings=weakenings_told(interaction.client),
    )


def _follow(context: PageContext, decision: Decision) -> Response:
    """Where the identity provider's decision leads; it answers 303 or draws a refusal."""
    return render_decision(decision, context.site.idp)


def _home(result: Authenticated) -> str:
    return HOME_OF_OFFICERS if result.person.actor.organisation else HOME_OF_CITIZENS
