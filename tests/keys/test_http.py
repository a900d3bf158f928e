"""What the room publishes, through the FastAPI door."""

import asyncio
import hashlib

import httpx
import pytest
from asn1crypto import tsp
from cryptography import x509
from fastapi import FastAPI
from fastapi.responses import Response

from foundation.batching.routes import HotRequest, problem
from foundation.errors import YinzhengError
from keys import Keys
from keys.http import hot_routes, router
from keys.timestamping.timestamps import MAX_REQUEST
from tests.simulators.clock import MovableClock

QUERY = tsp.TimeStampReq(
    {
        "version": "v1",
        "message_imprint": {
            "hash_algorithm": {"algorithm": "sha256"},
            "hashed_message": hashlib.sha256(b"a licence").digest(),
        },
        "cert_req": True,
    }
).dump()


class Door:
    """The application with nothing but this room in it."""

    def __init__(self, keys: Keys) -> None:
        app = FastAPI()
        app.include_router(router(keys))

        @app.exception_handler(YinzhengError)
        async def refuse(_request: object, error: YinzhengError) -> Response:
            answer = problem(error)
            return Response(answer.body, answer.status, media_type=answer.media_type)

        self._transport = httpx.ASGITransport(app)
        self.openapi = app.openapi()

    def __call__(self, method: str, path: str, **more: object) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url="http://localhost"
            ) as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())


@pytest.fixture
def door(keys: Keys) -> Door:
    keys.establish()
    keys.ensure("idp.tokens")
    keys.ensure("seal/4711")
    return Door(keys)


def test_the_key_set_holds_published_uses_and_no_seal(door: Door, keys: Keys) -> None:
    answer = door("GET", "/keys/jwks.json")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=600"
    assert [jwk["kid"] for jwk in answer.json()["keys"]] == [keys.active("idp.tokens").kid]


def test_a_key_set_that_did_not_change_is_not_sent_again(door: Door) -> None:
    etag = door("GET", "/keys/jwks.json").headers["etag"]

    answer = door("GET", "/keys/jwks.json", headers={"if-none-match": etag})

    assert (answer.status_code, answer.content) == (304, b"")


def test_both_doors_give_the_same_key_set(door: Door, keys: Keys) -> None:
    route = next(each for each in hot_routes(keys) if each.path == "/keys/jwks.json")

    hot = asyncio.run(route.handler(HotRequest("GET", route.path)))

    assert hot.body == door("GET", "/keys/jwks.json").content


def test_certificates_and_lists_are_where_certificates_say_they_are(door: Door, keys: Keys) -> None:
    leaf = x509.load_der_x509_certificate(keys.chain("tsa")[0])
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    issuer_url = next(
        each.access_location.value for each in access if each.access_method._name == "caIssuers"
    )

    issuer = door("GET", issuer_url.removeprefix("https://id.example.gov.cn"))
    crl = door("GET", points[0].full_name[0].value.removeprefix("https://id.example.gov.cn"))
    root = door("GET", "/pki/ca.crt")

    leaf.verify_directly_issued_by(x509.load_der_x509_certificate(issuer.content))
    parsed_crl = x509.load_der_x509_crl(crl.content)
    assert parsed_crl.is_signature_valid(
        x509.load_der_x509_certificate(issuer.content).public_key()
    )
    assert issuer.headers["content-type"] == "application/pkix-cert"
    assert crl.headers["content-type"] == "application/pkix-crl"
    assert root.content == keys.chain("tsa")[-1]


@pytest.mark.parametrize(
    "path", ["/pki/leaf.crt", "/pki/crl/root-9.crl", "/pki/..%2f..%2fetc%2fpasswd.crt"]
)
def test_what_is_not_published_is_not_found(door: Door, path: str) -> None:
    assert door("GET", path).status_code == 404


def test_a_time_stamp_over_http(door: Door, clock: MovableClock) -> None:
    answer = door(
        "POST", "/tsa", content=QUERY, headers={"content-type": "application/timestamp-query"}
    )

    parsed = tsp.TimeStampResp.load(answer.content, strict=True)
    info = parsed["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/timestamp-reply"
    assert answer.headers["cache-control"] == "no-store"
    assert parsed["status"]["status"].native == "granted"
    assert info["gen_time"].native == clock()


def test_a_bad_query_is_an_answer_not_an_error(door: Door) -> None:
    answer = door(
        "POST", "/tsa", content=b"junk", headers={"content-type": "application/timestamp-query"}
    )

    assert answer.status_code == 200
    assert b"\x03\x02\x02\x04" in answer.content, "badDataFormat is bit 5"


@pytest.mark.parametrize("media_type", ["", "application/json", "application/timestamp-reply"])
def test_another_content_type_is_refused(door: Door, media_type: str) -> None:
    answer = door("POST", "/tsa", content=QUERY, headers={"content-type": media_type})

    assert answer.status_code == 415
    assert answer.json()["code"] == "unexpected_media_type"


def test_a_query_that_is_too_large_is_refused(door: Door) -> None:
    answer = door(
        "POST",
        "/tsa",
        content=bytes(MAX_REQUEST + 1),
        headers={"content-type": "application/timestamp-query"},
    )

    assert answer.status_code == 413


def test_every_route_is_described(door: Door) -> None:
    operations = {
        operation["operationId"]
        for path in door.openapi["paths"].values()
        for operation in path.values()
    }

    assert operations == {
        *("jwks", "timestamp", "ocsp", "ocsp_get"),
        *("ca_certificate", "authority_certificate", "revocation_list"),
    }
