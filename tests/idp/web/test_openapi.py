"""The API description names exactly the parameters that the endpoints read.

A parameter of OAuth is a text under a name of a standard, so its name is all there is to describe;
here the names are taken from the code that reads them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from idp.protocol.resources import REPEATED
from idp.web.openapi import AUTHORIZATION, CLIENT, FORMS, LOGOUT, QUERIES

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


def test_an_authorization_request_is_described_as_it_is_read():
    files = ("authorization", "claims_request", "interaction", "pushed", "request_intake")
    read = read_in(*(f"authorize/{file}.py" for file in files)) | REPEATED

    assert set(AUTHORIZATION) == read - REFUSED
    assert set(QUERIES["authorize"]) == set(FORMS["authorize_by_post"]) == set(AUTHORIZATION)
    assert set(FORMS["par"]) == {*CLIENT, *AUTHORIZATION} - {"request_uri"}


def test_a_client_is_described_as_it_authenticates():
    read = read_in("clients/credentials.py") - {"iat", "nbf"}  # claims of an assertion

    assert set(CLIENT) == read


@pytest.mark.parametrize(
    ("form", "file"), [("introspect", "introspection"), ("revoke", "revocation")]
)
def test_a_question_about_a_token_is_described_as_it_is_read(form: str, file: str):
    folder = "resource" if file == "introspection" else "token"

    assert set(FORMS[form]) - {*CLIENT} - IGNORED == read_in(f"{folder}/{file}.py") - {*CLIENT}


def test_a_request_to_sign_out_is_described_as_it_is_read():
    begun = read_in("service.py", within="begin_logout")
    checked = read_in("authorize/rules.py", within="check_logout")

    assert set(LOGOUT) - IGNORED == begun | checked
    assert set(QUERIES["logout"]) == set(FORMS["logout_by_post"]) == set(LOGOUT)
