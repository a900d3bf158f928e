"""Signing in another device by its code (RFC 8628 §3.3); services told of a sign-out.

- The code is typed, or stands in the address that the device showed as a picture; either way
  nothing happens before the person has seen whose program asks and has said yes (§5.4, attack 32).
- Wrong, expired and answered codes look the same.
"""

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from idp import DeviceAnswered, DeviceRejected, DeviceView, Session
from portal.frame import forms, problems
from portal.frame.errors import SignInNeeded
from portal.frame.page_context import Form, PageContext


def router(context: PageContext) -> APIRouter:
    """Routes of /device, where a device's code is confirmed, and of /me/sign-outs."""
    pages = APIRouter()
    devices, notices = context.site.idp.devices, context.site.idp.notices

    @pages.get("/device")
    def device(request: Request, user_code: str = "") -> Response:
        context.person(request)
        return context.page(request, "device.html", code=forms.as_code(user_code)[:20])

    @pages.post("/device")
    def device_find(request: Request, form: Form) -> Response:
        code = forms.code(form, "user_code", 40)
        session_id = context.person(request, _page_of(code)).session_id
        context.accept(request, form)
        if not code:
            return _again(context, request, code, "device.code_missing")
        found = devices.look_up(session_id, code)
        if isinstance(found, DeviceRejected):
            return _rejected(context, request, code, found)
        return _confirm(context, request, found)

    @pages.post("/device/answer")
    def device_answer(request: Request, form: Form) -> Response:
        code = forms.code(form, "user_code", 40)
        session_id = context.person(request, _page_of(code)).session_id
        context.accept(request, form)
        claims = {str(value) for value in form.getlist("claim")}
        allowed = form.get("decision") == "allow"
        said = devices.answer(session_id, code, allowed, claims)
        if isinstance(said, DeviceRejected):
            return _rejected(context, request, code, said)
        return _done(context, request, said)

    @pages.get("/me/sign-outs")
    def sign_outs(request: Request) -> Response:
        person = _session(context, request).person
        return context.page(request, "sign_outs.html", notices=notices.of(person))

    return pages


def _page_of(code: str) -> str:
    """Where whoever has to sign in again finds the code filled in."""
    return f"/device?{urlencode({'user_code': code})}"


def _session(context: PageContext, request: Request) -> Session:
    session = context.site.idp.session(context.person(request).session_id)
    if session is None:  # it ended between two questions
        raise SignInNeeded("/")
    return session


def _confirm(context: PageContext, request: Request, view: DeviceView) -> Response:
    lang = context.language(request)
    claims = [{"name": each.name, "label": lang.pick(each.label)} for each in view.claims]
    return context.page(
        request, "device_confirm.html", device=view, client=view.client, claims=claims
    )


def _done(context: PageContext, request: Request, answered: DeviceAnswered) -> Response:
    return context.page(
        request, "device_done.html", client=answered.client, allowed=answered.allowed
    )


def _rejected(
    context: PageContext, request: Request, code: str, rejected: DeviceRejected
) -> Response:
    if rejected.reason == "not_signed_in":
        raise SignInNeeded("/device")
    if not rejected.retry_after:
        return _again(context, request, code, "device.unknown")
    lang = context.language(request)
    again = problems.later(context.site.clock(), rejected.retry_after)
    return context.page(
        request,
        "device.html",
        code=code,
        status=429,
        headers={"Retry-After": str(rejected.retry_after)},
        errors=problems.one(lang, "user_code", "signin.locked", time=lang.time(again)),
    )


def _again(context: PageContext, request: Request, code: str, message: str) -> Response:
    errors = problems.one(context.language(request), "user_code", message)
    return context.page(request, "device.html", code=code, status=422, errors=errors)
