"""Public machine routes: status lists, the issuer, the catalogue."""

import json
from datetime import timedelta

import httpx
import jsonschema
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from certificates.http import hot_routes, router
from certificates.rules import State
from foundation.batching.routes import problem
from foundation.canonical import b64url_decode
from foundation.errors import YinzhengError
from tests.certificates.conftest import LI, PUBLIC_URL


@pytest.fixture
def client(certificates):
    app = FastAPI()
    app.include_router(router(certificates))

    @app.exception_handler(YinzhengError)
    async def told(request: Request, error: YinzhengError) -> Response:
        answer = problem(error)
        return Response(answer.body, answer.status, media_type=answer.media_type)

    class Client:
        def get(self, path, **headers):
            import asyncio

            async def ask():
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as one:
                    return await one.get(path, headers=headers)

            return asyncio.run(ask())

    return Client()


def test_a_status_list_is_served_with_its_type_and_tag(client, issued):
    answer = client.get("/status-lists/1")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    again = client.get("/status-lists/1", **{"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


def test_every_list_is_named_in_one_place_that_each_list_names(client, issued):
    listed = client.get("/status-lists").json()["status_lists"]
    token = client.get("/status-lists/1").text
    claims = json.loads(b64url_decode(token.split(".")[1]))

    assert listed == [claims["sub"]]
    assert claims["status_list"]["aggregation_uri"] == f"{PUBLIC_URL}/status-lists"


def test_a_list_of_the_past_is_served_and_may_be_kept(client, issued, certificates, clock):
    opened = int(clock().timestamp())
    clock.advance(timedelta(hours=1))
    certificates.change_state(LI, issued.identifier, State.SUSPENDED, "under_investigation")

    past = client.get(f"/status-lists/1?time={opened}")

    assert past.status_code == 200
    assert past.headers["cache-control"] == "public, max-age=86400"
    assert client.get("/status-lists/1?time=yesterday").status_code == 400
    assert client.get("/status-lists/1?time=1").status_code == 404


def test_an_unknown_list_or_type_is_not_found(client):
    for path in ("/status-lists/77", "/types/nothing/1", "/types/residence-permit/2"):
        answer = client.get(path)
        assert answer.status_code == 404, path


def test_the_issuer_publishes_the_keys_that_sign_its_credentials(client, issued):
    metadata = client.get("/.well-known/jwt-vc-issuer").json()
    header = json.loads(b64url_decode(issued.credential.partition(".")[0]))

    assert metadata["issuer"] == PUBLIC_URL
    assert header["kid"] in {key["kid"] for key in metadata["jwks"]["keys"]}
    assert not any("d" in key for key in metadata["jwks"]["keys"])


def test_the_vct_of_a_credential_leads_to_its_metadata_and_schema(client, types):
    for kind in types.values():
        path = kind.vct("")
        metadata = client.get(path).json()
        schema = client.get(f"{path}/schema").json()

        assert metadata["vct"] == PUBLIC_URL + path
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"{PUBLIC_URL}{path}/schema"


def test_the_schema_says_what_our_own_validator_says(types):
    for kind in types.values():
        examples = {name: field.example for name, field in kind.fields.items() if field.example}
        jsonschema.validate(examples, kind.schema)


def test_the_catalogue_shows_every_type_with_its_purposes(client, types):
    listed = client.get("/types").json()

    assert {each["name"] for each in listed} == set(types)
    assert all("public-check" in {p["code"] for p in each["purposes"]} for each in listed)


def test_hot_routes_have_unique_names_and_paths(certificates):
    routes = hot_routes(certificates)

    assert len({route.name for route in routes}) == len({route.path for route in routes}) == 1
