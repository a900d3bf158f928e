"""The API description names exactly what the endpoints read, raise and answer.

The names of parameters and refusals are taken from the code, the members of answers from answers.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from foundation.actor import SYSTEM
from idp.clients import metadata
from idp.protocol import errors
from idp.protocol.messages import (
    AuthorizationParameters,
    AuthorizationReference,
    ClientForm,
    GrantParameters,
    LogoutParameters,
)
from idp.protocol.resources import REPEATED
from idp.resource.introspection import SHOWN
from idp.token.grants import GRANTS
from idp.token.grants.device_code import DeviceCode
from idp.web import openapi
from idp.web.openapi import ENDPOINTS
from tests.idp.clients.test_registration import BOUNDS, DOCUMENT
from tests.idp.world import RelyingParty, World

IDP = Path(__file__).parents[3] / "idp"
CARRIERS = {"params", "form", "given"}  # what the idp calls parameters that arrived
REFUSED = {"registration"}  # is looked for only to say that it is not supported
IGNORED = {"ui_locales", "token_type_hint"}  # may be sent, and change nothing


def read_in(*files: str, within: str = "") -> set[str]:
    """The names that the code of these files (or of one function in them) takes from what came."""
    trees = [ast.parse((IDP / file).read_text()) for file in files]
    functions = [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and within in ("", node.name)
    ]
    return {name for function in functions for name in _names(function)}


def _names(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=carrier), attr="get"),
                args=[ast.Constant(value=str(name)), *_],
            ) if carrier in CARRIERS:
                yield name
            case ast.Subscript(value=ast.Name(id=carrier), slice=ast.Constant(value=str(name))) if (
                carrier in CARRIERS
            ):
                yield name
            case ast.Compare(
                left=ast.Constant(value=str(name)), comparators=[ast.Name(id=carrier)]
            ) if carrier in CARRIERS:
                yield name
            case ast.For(target=ast.Name(id="name"), iter=ast.Tuple(elts=names)):
                yield from (str(each.value) for each in names if isinstance(each, ast.Constant))
            case ast.Call(
                func=ast.Name(id="parameter"), args=[_, ast.Constant(value=str(name)), *_]
            ):
                yield name


def members(*forms: type[Struct]) -> set[str]:
    return {name for form in forms for name in form.__struct_fields__}


def described(operation: Mapping[str, Any]) -> set[str]:
    """The names of parameters that an operation is said to take."""
    if "parameters" in operation:
        return {each["name"] for each in operation["parameters"]}
    [content] = operation["requestBody"]["content"].values()
    return set(content["schema"]["properties"])


AUTHORIZATION = members(AuthorizationReference, AuthorizationParameters)
CLIENT = members(ClientForm)
LOGOUT = members(LogoutParameters)


def test_an_authorization_request_is_described_as_it_is_read():
    files = ("authorization", "claims_request", "interaction", "pushed", "request_intake")
    read = read_in(*(f"authorize/{file}.py" for file in files)) | REPEATED
    query, form = (openapi.operation(name) for name in ("authorize", "authorize_by_post"))

    assert read - REFUSED == AUTHORIZATION
    assert described(query) == described(form) == AUTHORIZATION
    assert described(openapi.operation("par")) == (CLIENT | AUTHORIZATION) - {"request_uri"}


def test_a_client_is_described_as_it_authenticates():
    read = read_in("clients/credentials.py") - {"iat", "nbf"}  # claims of an assertion

    assert read == CLIENT


@pytest.mark.parametrize(
    ("form", "file"), [("introspect", "introspection"), ("revoke", "revocation")]
)
def test_a_question_about_a_token_is_described_as_it_is_read(form: str, file: str):
    folder = "resource" if file == "introspection" else "token"

    said = described(openapi.operation(form))
    assert said - CLIENT - IGNORED == read_in(f"{folder}/{file}.py") - CLIENT


def test_a_request_to_sign_out_is_described_as_it_is_read():
    begun = read_in("sign_out.py", within="begin")
    checked = read_in("authorize/rules.py", within="check_logout")
    query, form = (openapi.operation(name) for name in ("logout", "logout_by_post"))

    ours = {"interaction"}  # names what was posted to us, and is given to no client
    assert (begun | checked) - ours == LOGOUT - IGNORED
    assert described(query) == LOGOUT
    assert described(form) == LOGOUT | CLIENT  # a service may prove who it is


def test_a_device_is_described_as_it_is_read():
    read = read_in("token/grants/device_code.py", within="check_authorization") | REPEATED

    assert described(openapi.operation("device")) - CLIENT == read


@pytest.mark.parametrize("name", GRANTS)
def test_a_grant_type_names_what_it_reads(name: str):
    """And every parameter of ours is explained; one of a row of somebody else's is named."""
    kind = GRANTS[name]
    file = Path(inspect.getfile(kind)).relative_to(IDP)
    read = read_in(str(file)) - read_in(str(file), within="check_authorization")

    assert set(kind.parameters) == read | (kind.repeated & REPEATED)
    assert set(kind.parameters) <= members(GrantParameters)


def test_the_token_endpoint_is_described_by_the_grant_types_that_are_offered():
    [content] = openapi.token(GRANTS)["requestBody"]["content"].values()
    schema = content["schema"]

    own = {parameter for kind in GRANTS.values() for parameter in kind.parameters}
    assert set(schema["properties"]) == CLIENT | own | {"grant_type"}
    assert schema["properties"]["grant_type"]["enum"] == list(GRANTS)
    assert all(member["description"] for member in schema["properties"].values())


def test_a_registration_is_described_as_it_is_read():
    schema = openapi.registered()["properties"]
    read = read_in("clients/metadata.py") - {"redirect_uris"}

    assert read <= set(schema)
    assert set(metadata.OPEN) | metadata.ALGORITHMS.keys() <= set(schema)


@pytest.mark.parametrize(
    "planted",
    [
        'form.get("login_hint_token", "")',
        'parameter(form, "login_hint_token")',
        'form["login_hint_token"]',
        '"login_hint_token" in form',
    ],
)
def test_a_parameter_that_is_read_and_not_described_is_found(tmp_path: Path, planted: str):
    told = described(openapi.operation("revoke"))
    source = (IDP / "token/revocation.py").read_text()
    at = source.index("text = parameter(form")
    drifted = tmp_path / "revocation.py"
    drifted.write_text(f"{source[:at]}hint = {planted}\n        {source[at:]}")

    assert told - CLIENT - IGNORED == read_in("token/revocation.py") - CLIENT
    assert told - CLIENT - IGNORED != read_in(str(drifted)) - CLIENT


def test_every_endpoint_of_the_router_has_its_row_and_every_row_its_endpoint(world: World):
    """What is not in the table cannot be routed; what nobody routes is not told."""
    routed = {
        operation["operationId"]
        for item in world.app.openapi()["paths"].values()
        for operation in item.values()
        if "identity" in operation.get("tags", ())
    }

    assert {name for name in routed if not name.endswith("_preflight")} == ENDPOINTS.keys()
    with pytest.raises(KeyError):
        openapi.operation("drifted")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────

RAISED_FOR = {
    "par": ("authorize/pushed.py", "clients/credentials.py", "protocol/syntax.py"),
    "token": (
        *("token/endpoint.py", "clients/credentials.py", "protocol/syntax.py"),
        *(f"token/grants/{file.name}" for file in sorted((IDP / "token/grants").glob("*.py"))),
    ),
    "introspect": ("resource/introspection.py", "clients/credentials.py", "protocol/syntax.py"),
    "revoke": ("token/revocation.py", "clients/credentials.py", "protocol/syntax.py"),
    "device": ("clients/credentials.py", "token/grants/grant_type.py"),
    "userinfo": ("resource/access.py",),
}


@pytest.mark.parametrize("name", RAISED_FOR)
def test_what_is_raised_is_told(name: str):
    """An error class that a new line raises has to stand in the endpoint's row."""
    trees = [ast.parse((IDP / file).read_text()) for file in RAISED_FOR[name]]
    made = {
        node.func.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    kinds = {each for each in vars(errors).values() if _is_refusal(each) and each.__name__ in made}

    assert kinds
    assert {kind.code for kind in kinds} <= {kind.code for kind in ENDPOINTS[name].refuses}


def _is_refusal(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, errors.OAuthError)


def test_a_refusal_has_its_status_and_every_code_of_it():
    responses = openapi.operation("revoke")["responses"]
    told = {
        status: responses[status]["content"]["application/json"]["schema"]["properties"]["error"]
        for status in ("400", "401", "503")
    }

    assert told["400"]["enum"] == ["invalid_request", "unsupported_token_type", "invalid_grant"]
    assert told["401"]["enum"] == ["invalid_client"]
    assert told["503"]["enum"] == ["temporarily_unavailable"]


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def answer_of(name: str) -> dict[str, Any]:
    responses = openapi.operation(name)["responses"]
    [good] = [each for status, each in responses.items() if status < "3"]
    schema: dict[str, Any] = good["content"]["application/json"]["schema"]
    return schema


def fits(schema: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Every member that must be there is, and none that nobody told."""
    return set(schema["required"]) <= answer.keys() <= set(schema["properties"])


def test_what_clients_get_is_what_is_told(world: World, client: RelyingParty):
    tokens = client.tokens(scope="openid profile offline_access")
    pushed = client.post("/oauth/par", client.request()).json()

    assert fits(answer_of("token"), tokens)
    assert fits(answer_of("par"), pushed)
    assert fits(answer_of("introspect"), client.introspect(tokens["access_token"]))
    assert fits(answer_of("introspect"), client.introspect(tokens["refresh_token"]))
    assert fits(answer_of("introspect"), client.introspect("unknown"))
    assert fits(answer_of("userinfo"), client.userinfo(tokens["access_token"]).json())


def test_everything_that_introspection_shows_is_told():
    assert set(answer_of("introspect")["properties"]) == SHOWN | {"active", "token_type"}


def test_a_device_gets_what_is_told(world: World):
    kiosk = world.client("kiosk", redirect_uris=(), grant_types=(DeviceCode.grant_type,))

    asked = kiosk.post("/oauth/device", {"scope": "openid"}).json()

    assert fits(answer_of("device"), asked)


def test_a_registered_program_gets_what_is_told(world: World):
    allowed = world.idp.registrations.allow(BOUNDS, by=SYSTEM)
    headers = {"authorization": f"Bearer {allowed}"}

    made = world.http.post("/oauth/register", json=DOCUMENT, headers=headers)

    assert made.status_code == 201
    assert fits(answer_of("register"), made.json())
    assert fits(answer_of("read_registration"), made.json())
