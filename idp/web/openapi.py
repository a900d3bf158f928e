"""What the endpoints take, answer and refuse, as the API description tells it: one row each.

Everything derives: members from the types in `idp/protocol/messages.py`, what a grant type reads
from `GRANTS`, claims from `CLAIMS`, a registration from `Client`, refusals from the error classes.
An endpoint that has no row here cannot be routed (`operation`), and nothing here decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from foundation.errors import TooLarge, Unavailable, YinzhengError
from foundation.schemas import Schema, codes, problems, refused, taken, told
from idp.clients import metadata
from idp.models import LOCALES, Client
from idp.protocol import errors
from idp.protocol.claims import CLAIMS
from idp.protocol.grant_types import GrantTypes, form_parameters
from idp.protocol.messages import (
    AuthorizationParameters,
    AuthorizationReference,
    ClientForm,
    DeviceForm,
    DeviceResponse,
    ErrorResponse,
    GrantForm,
    GrantParameters,
    IntrospectionResponse,
    LogoutParameters,
    PushResponse,
    TokenForm,
    TokenResponse,
    UserinfoForm,
    UserinfoResponse,
)

Response = dict[str, Any]
_FORM: Final = "application/x-www-form-urlencoded"
_TEXT: Final[Schema] = {"type": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation. `takes`: its parameters, as a form or, with `asked`, in the address; `body` is
    a JSON document instead. `answers` are good responses by status, `refuses` OAuth errors and
    `about_body` further codes of a 400, `pages` refusals that a browser is shown."""

    takes: tuple[type, ...] = ()
    asked: bool = False
    needs_form: bool = True
    body: Schema | None = None
    answers: Mapping[str, Response] = field(default_factory=dict)
    refuses: tuple[type[errors.OAuthError], ...] = ()
    about_body: tuple[str, ...] = ()
    pages: tuple[type[YinzhengError], ...] = ()


def parameters(*forms: type) -> Schema:
    """The members of these types as one schema of a form."""
    schemas = [taken(each) for each in forms]
    members = {name: member for each in schemas for name, member in each["properties"].items()}
    needed = [name for each in schemas for name in each["required"]]
    return {"type": "object", "properties": members, **({"required": needed} if needed else {})}


def registered() -> Schema:
    """A client's metadata (RFC 7591 §2): what of `Client` a program says of itself."""
    [_], known = msgspec.json.schema_components([Client], ref_template="{name}")
    ours = known[Client.__name__]["properties"]
    names = {"client_name": _TEXT, **{f"client_name#{each}": _TEXT for each in LOCALES}}
    purposes = {f"purpose#{each}": _TEXT for each in LOCALES}
    algorithms = {n: {**_TEXT, "enum": list(each)} for n, each in metadata.ALGORITHMS.items()}
    own = {name: _without_default(ours[name]) for name in metadata.OPEN}
    flow = {"response_types": {"type": "array", "items": _TEXT}, "scope": _TEXT}
    return {"type": "object", "properties": {**names, **purposes, **flow, **algorithms, **own}}


def registration() -> Schema:
    """What is answered of a registration (RFC 7591 §3.2.1, RFC 7592 §3)."""
    given = dict.fromkeys(("client_id", "organisation", "organisation_name"), _TEXT)
    when = {"type": "integer"}
    credentials = {
        "client_id_issued_at": when,
        "client_secret": _TEXT,
        "client_secret_expires_at": when,
        "registration_access_token": _TEXT,
        "registration_client_uri": {**_TEXT, "format": "uri"},
    }
    members = {**given, **registered()["properties"], **credentials}
    always = [*given, "client_id_issued_at", "registration_client_uri"]
    return {"type": "object", "properties": members, "required": always}


def _without_default(member: Schema) -> Schema:
    return {name: value for name, value in member.items() if name != "default"}


def _userinfo() -> Schema:
    schema = told(UserinfoResponse)
    claims = {name: {"description": each.label["en"]} for name, each in CLAIMS.items()}
    return {**schema, "properties": {**schema["properties"], **claims}}


def _json(description: str, schema: Schema) -> Response:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _jwt_too(answer: Response, media_type: str) -> Response:
    return {**answer, "content": {**answer["content"], media_type: {"schema": _TEXT}}}


_SEES_OTHER: Final[Mapping[str, Response]] = {
    "303": {"description": "to a page of ours, or back to the client with its answer"}
}
_CLIENT: Final = (errors.InvalidRequest, errors.InvalidClient)
_PROOF: Final = (errors.InvalidDpopProof, errors.UseDpopNonce)
_DEVICE: Final = (
    *(errors.AuthorizationPending, errors.SlowDown),
    *(errors.ExpiredToken, errors.AccessDenied),
)
_ACCESS: Final = (
    errors.InvalidRequest,
    errors.InvalidToken,
    errors.DpopChallenge,
    errors.RequestSignatureRefused,
    errors.InsufficientUserAuthentication,
    errors.InsufficientScope,
)
_TOKEN_HELD: Final = (errors.InvalidRequest, errors.InvalidToken)
_AT_BROWSERS: Final = (errors.AuthorizationRefused, errors.AuthorizationRequestOver, TooLarge)
_AUTHORIZE: Final = (AuthorizationReference, AuthorizationParameters)
_TOLD_USERINFO: Final = {
    "200": _jwt_too(_json("the claims that the person allows", _userinfo()), "application/jwt")
}
_METADATA: Final = ("invalid_client_metadata", "invalid_redirect_uri")  # RFC 7591 §3.2.2
_REGISTERED: Final = _json("everything that is registered", registration())

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "authorize": Endpoint(takes=_AUTHORIZE, asked=True, answers=_SEES_OTHER, pages=_AT_BROWSERS),
    "authorize_by_post": Endpoint(takes=_AUTHORIZE, answers=_SEES_OTHER, pages=_AT_BROWSERS),
    "logout": Endpoint(
        takes=(LogoutParameters,), asked=True, answers=_SEES_OTHER, pages=_AT_BROWSERS
    ),
    "logout_by_post": Endpoint(
        takes=(ClientForm, LogoutParameters),
        answers=_SEES_OTHER,
        refuses=_CLIENT,
        pages=_AT_BROWSERS,
    ),
    "par": Endpoint(
        takes=(ClientForm, AuthorizationParameters),
        answers={"201": _json("the reference", told(PushResponse))},
        refuses=(*_CLIENT, *_PROOF, errors.AuthorizationError),
    ),
    "token": Endpoint(
        takes=(ClientForm, GrantForm, GrantParameters),
        answers={"200": _json("the tokens", told(TokenResponse))},
        refuses=(
            *(*_CLIENT, errors.InvalidGrant, errors.UnauthorizedClient),
            *(errors.UnsupportedGrantType, errors.InvalidScope, errors.InvalidTarget),
            *(*_PROOF, *_DEVICE),
        ),
    ),
    "introspect": Endpoint(
        takes=(ClientForm, TokenForm),
        answers={
            "200": _jwt_too(
                _json("whether it counts", told(IntrospectionResponse)),
                "application/token-introspection+jwt",
            )
        },
        refuses=_CLIENT,
    ),
    "revoke": Endpoint(
        takes=(ClientForm, TokenForm),
        answers={"200": {"description": "it counts no more, or never did"}},
        refuses=(*_CLIENT, errors.UnsupportedTokenType, errors.InvalidGrant),
    ),
    "device": Endpoint(
        takes=(ClientForm, DeviceForm),
        answers={"200": _json("what to show", told(DeviceResponse))},
        refuses=(
            *(*_CLIENT, errors.UnauthorizedClient, errors.InvalidScope, errors.InvalidTarget),
        ),
    ),
    "userinfo": Endpoint(answers=_TOLD_USERINFO, refuses=_ACCESS),
    "userinfo_by_post": Endpoint(
        takes=(UserinfoForm,), needs_form=False, answers=_TOLD_USERINFO, refuses=_ACCESS
    ),
    "openid_configuration": Endpoint(
        answers={"200": _json("what this provider can do", {"type": "object"})}
    ),
    "oauth_server": Endpoint(answers={"200": _json("what this server can do", {"type": "object"})}),
    "form_post_script": Endpoint(
        answers={"200": {"description": "a script", "content": {"text/javascript": {}}}}
    ),
    "logo": Endpoint(
        answers={"200": {"description": "the picture", "content": {"image/png": {}}}},
    ),
    "register": Endpoint(
        body=registered(),
        about_body=_METADATA,
        answers={"201": _REGISTERED},
        refuses=(*_TOKEN_HELD, errors.TokenMissing),
    ),
    "read_registration": Endpoint(
        answers={"200": _REGISTERED}, refuses=(*_TOKEN_HELD, errors.TokenMissing)
    ),
    "replace_registration": Endpoint(
        body=registered(),
        about_body=_METADATA,
        answers={"200": _REGISTERED},
        refuses=(*_TOKEN_HELD, errors.TokenMissing),
    ),
    "delete_registration": Endpoint(
        answers={"204": {"description": "it is gone"}},
        refuses=(*_TOKEN_HELD, errors.TokenMissing),
    ),
}


def operation(name: str) -> dict[str, Any]:
    """What is added to the operation called `name`. Raises `KeyError` where it has no row."""
    endpoint = ENDPOINTS[name]
    return {**_taken(endpoint), "responses": {**endpoint.answers, **_refusals(endpoint)}}


def token(offered: GrantTypes) -> dict[str, Any]:
    """The same for the token endpoint: what the grant types that are offered read."""
    described = parameters(GrantParameters)["properties"]
    schema = parameters(ClientForm, GrantForm)
    schema["properties"]["grant_type"] |= {"enum": list(offered)}
    schema["properties"] |= {name: described.get(name, _TEXT) for name in form_parameters(offered)}
    return {**operation("token"), "requestBody": _body(_FORM, schema)}


def _taken(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.body is not None:
        return {"requestBody": _body("application/json", endpoint.body)}
    if not endpoint.takes:
        return {}
    schema = parameters(*endpoint.takes)
    if endpoint.asked:
        return {"parameters": [_parameter(*each) for each in schema["properties"].items()]}
    return {"requestBody": _body(_FORM, schema, required=endpoint.needs_form)}


def _refusals(endpoint: Endpoint) -> dict[str, Any]:
    if not endpoint.refuses:
        return problems(*endpoint.pages)
    responses = refused(endpoint.refuses, _error)
    if endpoint.about_body:
        schema = responses["400"]["content"]["application/json"]["schema"]
        schema["properties"]["error"]["enum"] += endpoint.about_body
    if ClientForm not in endpoint.takes:
        return {**responses, **problems(Unavailable)}
    schema = told(ErrorResponse)
    schema["properties"]["error"] = {**_TEXT, "enum": ["temporarily_unavailable"]}
    return {**responses, "503": _json("not now; nothing was done", schema)}


def _error(kinds: Sequence[type[YinzhengError]]) -> dict[str, Any]:
    """RFC 6749 §5.2; every code is listed where the classes know them all."""
    schema = told(ErrorResponse)
    if all(getattr(kind, "error", None) is errors.OAuthError.error for kind in kinds):
        schema["properties"]["error"] = {"type": "string", "enum": codes(kinds)}
    return {"application/json": {"schema": schema}}


def _body(media_type: str, schema: Schema, *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {media_type: {"schema": schema}}}


def _parameter(name: str, member: Schema) -> dict[str, Any]:
    """In an address nothing is marked as needed: what is missing is told as the standard says."""
    words = {"description": member["description"]} if "description" in member else {}
    return {"name": name, "in": "query", "required": False, "schema": _TEXT, **words}
