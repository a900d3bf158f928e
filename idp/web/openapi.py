"""What the OAuth endpoints take, as OpenAPI tells it: the parameters of the standards by name.

Only words; nothing here decides. Each endpoint's own file says what it does with them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from idp.protocol.grant_types import GrantTypes, form_parameters

CLIENT: Final = ("client_id", "client_secret", "client_assertion", "client_assertion_type")
AUTHORIZATION: Final = (
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "acr_values",
    "claims",
    "login_hint",
    "id_token_hint",
    "ui_locales",
    "resource",
    "dpop_jkt",
    "request",
    "request_uri",
)
LOGOUT: Final = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales")
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "authorize_by_post": AUTHORIZATION,
    "par": (*CLIENT, *(name for name in AUTHORIZATION if name not in ("client_id", "request_uri"))),
    "introspect": (*CLIENT, "token", "token_type_hint"),
    "revoke": (*CLIENT, "token", "token_type_hint"),
    "device": (*CLIENT, "scope", "resource"),
    "logout_by_post": LOGOUT,
}
QUERIES: Final[Mapping[str, tuple[str, ...]]] = {"authorize": AUTHORIZATION, "logout": LOGOUT}


def operation(name: str) -> dict[str, Any]:
    """What is added to the operation called `name`; empty for one that takes nothing."""
    if name in FORMS:
        return _by_form(FORMS[name])
    if name in QUERIES:
        return {"parameters": [_parameter(each) for each in QUERIES[name]]}
    return {}


def token(offered: GrantTypes) -> dict[str, Any]:
    """The same for the token endpoint: what the grant types that are offered read."""
    return _by_form((*CLIENT, "grant_type", *form_parameters(offered)))


def _by_form(names: Sequence[str]) -> dict[str, Any]:
    content = {"application/x-www-form-urlencoded": {"schema": _form(names)}}
    return {"requestBody": {"required": True, "content": content}}


def _form(names: Sequence[str]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}}


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
