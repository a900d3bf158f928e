"""The protocol endpoints. They decide nothing: read the request, ask `Idp`, render the answer.

    GET/POST /oauth/authorize     a browser; answers 303, to a page of the portal or to the client
    GET/POST /oauth/logout        a browser
    POST     /oauth/par           fast lane
    POST     /oauth/token         fast lane
    GET/POST /oauth/userinfo      fast lane
    GET      /.well-known/…       fast lane

What clients and resource servers do with tokens afterwards is in `endpoints`.

- Every redirect is a 303 (RFC 9700 §4.12): a browser never repeats a POST with a password.
- Errors of OAuth endpoints are RFC 6749 §5.2 objects; nothing with a token is ever cached (§5.1).
- A request that must not redirect raises `AuthorizationRefused`; the portal draws the page.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Final
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from foundation.batching import (
    HotAnswer,
    HotRequest,
    HotRoute,
    json_answer,
    mount,
    parse_form,
    parse_pairs,
    read_body,
)
from foundation.errors import YinzhengError
from idp.accounts.cookies import Cookies, new_browser_id
from idp.authorize import form_post
from idp.authorize.interaction import Decision
from idp.authorize.rules import Consent, Granted, Login, RequestRefused
from idp.models import Client
from idp.protocol.errors import (
    AuthorizationRefused,
    AuthorizationRequestOver,
    InvalidRequest,
    InvalidToken,
    OAuthError,
)
from idp.protocol.profiles import algorithms
from idp.protocol.resources import REPEATED
from idp.service import Idp
from idp.sign_out import ConfirmLogout, LoggedOut
from idp.web import discovery, dynamic_http, endpoints, logos, openapi
from idp.web.rendering import LONGEST_BODY, NO_STORE, TAGS, by_form, oauth_error, route

Parameters = dict[str, str]
_PROVES: Final = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


def router(idp: Idp) -> APIRouter:
    """Every endpoint of the identity provider, the fast-lane ones included."""
    routes = APIRouter(tags=list(TAGS))
    cookies = Cookies(idp.issuer)

    def authorize(request: Request, params: Annotated[Parameters, Depends(_query)]) -> Response:
        browser = cookies.browser(request) or new_browser_id()
        decision = idp.begin(params, cookies.session(request), browser)
        response = render(decision, idp)
        cookies.set_browser(response, browser)
        return response

    def authorize_by_post(params: Annotated[Parameters, Depends(_form)]) -> Response:
        """OIDC Core §3.1.2.1 wants POST too. A cross-site POST comes without our cookies; the GET
        that follows brings them, and a reference instead of what was posted."""
        kept = idp.pushed.keep(params)
        if isinstance(kept, RequestRefused):
            return render(kept, idp)
        return see_other(f"{idp.issuer}/oauth/authorize?{urlencode(kept)}")

    def logout(request: Request, params: Annotated[Parameters, Depends(_query)]) -> Response:
        outcome = idp.begin_logout(params, cookies.session(request))
        if isinstance(outcome, RequestRefused):
            return render(outcome, idp)
        if isinstance(outcome, ConfirmLogout):
            return see_other(f"/signout?{urlencode({'logout': outcome.logout_id})}")
        response = see_other(outcome.redirect_to or "/signed-out")
        cookies.clear_session(response)
        return response

    def logout_by_post(
        params: Annotated[Parameters, Depends(_form)],
        by: Annotated[Client | None, Depends(_proved_client(idp))],
    ) -> Response:
        """RP-Initiated Logout §2 wants POST too; see `authorize_by_post`. A service that proves who
        it is signs out the person of its hint from its own server."""
        kept = idp.keep_logout(params, by)
        if isinstance(kept, RequestRefused):
            return render(kept, idp)
        if isinstance(kept, LoggedOut):
            return see_other(kept.redirect_to or "/signed-out")
        return see_other(f"{idp.issuer}/oauth/logout?{urlencode({'interaction': kept})}")

    for path, method, endpoint, name, summary in (
        ("/oauth/authorize", "GET", authorize, "authorize", "Begin signing in"),
        ("/oauth/authorize", "POST", authorize_by_post, "authorize_by_post", "The same, by form"),
        ("/oauth/logout", "GET", logout, "logout", "Sign out"),
        ("/oauth/logout", "POST", logout_by_post, "logout_by_post", "The same, by form"),
    ):
        routes.add_api_route(
            path,
            endpoint,
            methods=[method],
            name=name,
            operation_id=name,
            summary=summary,
            response_class=Response,
            status_code=303,
            openapi_extra=openapi.operation(name),
        )
    dynamic_http.add_routes(routes, idp.registrations)
    logos.add_route(routes, idp.clients)
    mount(routes, hot_routes(idp))
    return routes


def hot_routes(idp: Idp) -> list[HotRoute]:
    """The fast-lane endpoints."""

    async def token(request: HotRequest, form: Mapping[str, str]) -> HotAnswer:
        issued = await idp.token_endpoint.token(request, form)
        return json_answer(issued, headers=(*NO_STORE, *idp.senders.headers(request)))

    async def push(request: HotRequest, form: Mapping[str, str]) -> HotAnswer:
        pushed = await idp.pushed.push(request, form)
        return json_answer(pushed, 201, (*NO_STORE, *idp.senders.headers(request)))

    async def script(_request: HotRequest) -> HotAnswer:
        headers = (("cache-control", "public, max-age=86400"),)
        return HotAnswer(200, form_post.SCRIPT, "text/javascript", headers)

    async def userinfo(request: HotRequest) -> HotAnswer:
        try:
            told = await idp.access.userinfo(_with_body_token(request))
        except OAuthError as refusal:
            return oauth_error(refusal)
        headers = (*NO_STORE, *idp.senders.headers(request))
        if isinstance(told, str):  # the client is registered for a signed answer
            return HotAnswer(200, told.encode(), "application/jwt", headers)
        return json_answer(told, headers=headers)

    usable = algorithms(idp.clients.forbidden)
    told = discovery.metadata(idp.issuer, idp.grants, idp.senders.certificates, usable)
    document = orjson.dumps(told)

    async def configuration(_request: HotRequest) -> HotAnswer:
        headers = (("cache-control", "public, max-age=300"),)
        return HotAnswer(200, document, headers=headers)

    grants = "Exchange a grant for tokens (RFC 6749 §3.2)"
    pushes = "Push an authorization request (RFC 9126)"
    known = (
        ("openid-configuration", "openid_configuration", "Provider metadata (OIDC Discovery §4)"),
        (
            *("oauth-authorization-server", "oauth_server"),
            "Authorization server metadata (RFC 8414 §3)",
        ),
    )
    return [
        replace(
            route("POST", "/oauth/token", by_form(token, idp.token_endpoint.read), "token", grants),
            openapi=openapi.token(idp.grants),
        ),
        route("POST", "/oauth/par", by_form(push), "par", pushes),
        route("GET", "/oauth/userinfo", userinfo, "userinfo", "The person's claims"),
        route("POST", "/oauth/userinfo", userinfo, "userinfo_by_post", "The same, by POST"),
        route("GET", form_post.SCRIPT_PATH, script, "form_post_script", "Sends form_post forms"),
        *(
            replace(route("GET", f"/.well-known/{path}", configuration, *told), non_blocking=True)
            for path, *told in known
        ),
        *endpoints.hot_routes(idp),
    ]


def render(decision: Decision, idp: Idp) -> Response:
    """A decision as a redirect; without a place to redirect to, as a page of ours. Whatever a
    client is told leaves through here: signed, where it asked for that."""
    if isinstance(decision, Granted | RequestRefused):
        decision = idp.jwt_responses.secured(decision)
    match decision:
        case Login(interaction_id):
            return see_other(f"/signin/{interaction_id}")
        case Consent(interaction_id):
            return see_other(f"/consent/{interaction_id}")
        case Granted(target, parameters, "form_post"):
            return form_post.page(target, parameters)
        case Granted():
            return see_other(decision.redirect_to)
        case RequestRefused(
            redirect_uri=str(target), parameters=parameters, response_mode="form_post"
        ):
            return form_post.page(target, parameters)
        case RequestRefused(redirect_to=str(target)):
            return see_other(target)
        case RequestRefused():
            over = decision.error == "invalid_request_uri"
            raise (AuthorizationRequestOver if over else AuthorizationRefused)(
                decision.description,
                next_step="go back to the service you came from; if it happens again, tell them",
                error=decision.error,
                client_uri=decision.client_uri,
            )


def see_other(target: str) -> Response:
    """303 and nothing of where we were (RFC 9700 §4.2, §4.12)."""
    headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
    response = RedirectResponse("/", status_code=303, headers=headers)
    response.headers["location"] = target  # as it was registered: no quoting of ours
    return response


async def _query(request: Request) -> Parameters:
    return parse_pairs(request.scope["query_string"], REPEATED)


async def _form(request: Request) -> Parameters:
    body = await read_body(request, LONGEST_BODY)
    return parse_form(HotRequest.from_scope(request.scope, body), REPEATED)


def _proved_client(idp: Idp) -> Callable[[Request, Parameters], Awaitable[Client | None]]:
    """The client that authenticates in a form at a browser's address, where one tries to."""

    async def proved(
        request: Request, form: Annotated[Parameters, Depends(_form)]
    ) -> Client | None:
        hot = HotRequest.from_scope(request.scope)
        if not form.keys() & _PROVES and "authorization" not in hot.headers:
            return None
        return await idp.clients.authenticate(hot, form)

    return proved


def _with_body_token(request: HotRequest) -> HotRequest:
    """RFC 6750 §2.2: a form may carry the token; header and form at once are refused."""
    if request.method != "POST" or not request.body:
        return request
    try:
        token = parse_form(request).get("access_token", "")
    except YinzhengError as problem:
        raise InvalidRequest(problem.detail) from None
    if not token:
        return request
    if "authorization" in request.headers:
        raise InvalidToken("the access token was sent in two ways")
    return replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})
