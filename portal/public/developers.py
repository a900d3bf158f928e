"""Ten minutes for a department's developer: a client, a token, one verification, one receipt.

The examples carry this service's own address and the catalogue's own purpose, so that they run as
they are copied. The list of operations is read from the application's OpenAPI description.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from certificates.identifier import organisation_check
from foundation.errors import NotFound
from portal.frame.page_context import PageContext

EXAMPLE_TYPE = "food-business-licence"
EXAMPLE_PURPOSE = "food-inspection"
SANDBOX_CLIENT = "shili-inspection"
SANDBOX_PASSWORD = "yinzheng-sandbox"  # noqa: S105 - printed in the README on purpose
_DEPARTMENT = "11990000MB1A00044"  # of the division that is no place
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the message that explains it, and text blocks to copy (id, what it is, text)."""

    name: str
    blocks: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the machine interface."""

    method: str
    path: str
    summary: str


def router(context: PageContext) -> APIRouter:
    """Routes of /developers: the steps to a first verification, and their files to download."""
    pages = APIRouter(prefix="/developers")
    sandbox = context.site.settings.mode == "sandbox"

    @pages.get("")
    def developers(request: Request) -> Response:
        return context.page(
            request,
            "developers.html",
            steps=steps(context, sandbox=sandbox),
            issuer=context.site.settings.public_url,
            # Who can sign in is nobody's business, but in a sandbox, where nobody exists.
            people=context.site.idp.people.all() if sandbox else [],
            password=SANDBOX_PASSWORD,
            operations=operations(request.app.openapi()),
        )

    @pages.get("/client.json")
    def client_file() -> Response:
        headers = {"Content-Disposition": 'attachment; filename="client.json"'}
        return Response(client_example(), media_type="application/json", headers=headers)

    @pages.get("/verify.py")
    def program() -> Response:
        headers = {"Content-Disposition": 'attachment; filename="verify.py"'}
        return Response(
            python_example(context), media_type="text/x-python; charset=utf-8", headers=headers
        )

    return pages


def steps(context: PageContext, *, sandbox: bool) -> list[Step]:
    """The way from nothing to a kept receipt."""
    base = context.site.settings.public_url
    asked = _asked(context)
    register = (
        ("secret", "shell", f"./run idp clients new-secret {SANDBOX_CLIENT}"),
        ("client", "json", client_example()),
        ("register", "shell", "./run idp clients register client.json"),
    )
    return [
        Step("client", register if sandbox else register[1:]),
        Step("token", (("token", "shell", _token(base)),)),
        Step("purposes", (("purposes", "shell", _purposes(base)),)),
        Step("verify", (("ask", "shell", _ask(base, asked)),)),
        Step("receipt", (("fetch", "shell", _fetch(base)), ("check", "shell", _check(base)))),
        Step("program", (("program", "python", python_example(context)),)),
    ]


def client_example() -> str:
    """A registration that works as it stands, apart from the department's own names."""
    client = {
        "client_id": "my-department-checks",
        "name": {"zh-Hans": "业务系统", "zh-Hant": "業務系統", "en": "Case system"},
        "purpose": {"zh-Hans": "核验证照", "zh-Hant": "核驗證照", "en": "Check certificates"},
        "organisation": _DEPARTMENT + organisation_check(_DEPARTMENT),
        "organisation_name": "示例市教育局",
        "profile": "standard",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["client_credentials"],
        "scopes": ["certificates.verify"],
    }
    return json.dumps(client, ensure_ascii=False, indent=2)


def python_example(context: PageContext) -> str:
    """The same walk as a program: the standard library and httpx."""
    return _PROGRAM.format(base=context.site.settings.public_url, asked=_python(_asked(context)))


def operations(description: Mapping[str, Any]) -> list[tuple[str, list[Operation]]]:
    """The operations of an OpenAPI document, by their first tag."""
    groups: dict[str, list[Operation]] = {}
    for path, item in description["paths"].items():
        for method in _METHODS:
            if method in item:
                tag = next(iter(item[method].get("tags", ())), "")
                line = Operation(method.upper(), path, item[method].get("summary", ""))
                groups.setdefault(tag, []).append(line)
    return sorted(groups.items())


def _asked(context: PageContext) -> dict[str, str]:
    """A question that the example purpose allows."""
    kind = context.site.catalogue.get(EXAMPLE_TYPE)
    if kind is None or EXAMPLE_PURPOSE not in kind.purposes:
        raise NotFound("this house has no type to show an example with")
    number = kind.fields[kind.number.field].example
    basis = kind.purposes[EXAMPLE_PURPOSE].legal_basis
    return {
        "number": number,
        "purpose": EXAMPLE_PURPOSE,
        "legal_basis": basis,
        "case_ref": "2026-0417",
    }


def _token(base: str) -> str:
    return (
        f"export CLIENT_ID={SANDBOX_CLIENT} CLIENT_SECRET=…\n"
        f'curl -s -u "$CLIENT_ID:$CLIENT_SECRET" {base}/oauth/token \\\n'
        "  -d grant_type=client_credentials -d scope=certificates.verify\n"
        "export TOKEN=…   # the access_token of the answer; it lives for some minutes"
    )


def _purposes(base: str) -> str:
    return f'curl -s -H "Authorization: Bearer $TOKEN" {base}/api/v1/purposes'


def _ask(base: str, asked: Mapping[str, str]) -> str:
    body = json.dumps(asked, ensure_ascii=False, indent=2)
    return (
        f"curl -s {base}/api/v1/verifications \\\n"
        '  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\\n'
        f"  -H \"Idempotency-Key: 2026-0417-1\" -d '{body}'\n"
        "export RECEIPT=…   # the receipt_id of the answer"
    )


def _fetch(base: str) -> str:
    return (
        'curl -s -H "Authorization: Bearer $TOKEN" \\\n'
        f'  "{base}/api/v1/receipts/$RECEIPT?wait=proof" > receipt.json'
    )


def _check(base: str) -> str:
    return (
        f"curl -s {base}/pki/ca.crt | openssl x509 -inform der -out root.pem\n"
        f"curl -s {base}/ledger/keys\n"
        "./run verify --receipt receipt.json --trust-anchor root.pem --ledger-key …"
    )


def _python(values: Mapping[str, str]) -> str:
    lines = [
        f"    {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},"
        for name, value in values.items()
    ]
    return "{\n" + "\n".join(lines) + "\n}"


_PROGRAM = '''"""Check one certificate at its source and keep the receipt."""

import os

import httpx

SERVICE = "{base}"
QUESTION = {asked}

client = (os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
grant = {{"grant_type": "client_credentials", "scope": "certificates.verify"}}
with httpx.Client(base_url=SERVICE, timeout=10) as service:
    answer = service.post("/oauth/token", data=grant, auth=client).raise_for_status()
    service.headers["Authorization"] = "Bearer " + answer.json()["access_token"]

    answer = service.post("/api/v1/verifications", json=QUESTION).raise_for_status()
    verdict = answer.json()
    print(verdict["verdict"], verdict["reason"], verdict["next_step"])

    receipt = service.get("/api/v1/receipts/" + verdict["receipt_id"], params={{"wait": "proof"}})
    with open("receipt.json", "wb") as file:
        file.write(receipt.raise_for_status().content)
'''
