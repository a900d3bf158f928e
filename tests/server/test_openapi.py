"""The OpenAPI document as an adversary reads it: whatever it generates, nothing falls over."""

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from server.assembly import Installation, opened
from server.sandbox import seeds
from server.settings import Settings

ORIGIN = "http://localhost:8000"
REQUESTS_PER_OPERATION = 8
BOUNDED = settings(
    max_examples=REQUESTS_PER_OPERATION,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@schemathesis.serializer("application/timestamp-query", "application/ocsp-request")
def as_bytes(_context: object, value: object) -> bytes:
    """DER is bytes; what was generated instead is the more hostile for it."""
    return value if isinstance(value, bytes) else repr(value).encode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("YINZHENG_")]:
            patch.delenv(name)
        chosen = Settings(data_dir=tmp_path_factory.mktemp("house"), public_url=ORIGIN)
    with opened(chosen) as house:
        seeds.seed(house)
        yield house


def test_the_document_names_every_oauth_parameter(house: Installation):
    paths = house.api().openapi()["paths"]

    form = paths["/oauth/par"]["post"]["requestBody"]["content"]
    assert "code_challenge" in form["application/x-www-form-urlencoded"]["schema"]["properties"]
    query = {each["name"] for each in paths["/oauth/authorize"]["get"]["parameters"]}
    assert {"request_uri", "claims", "dpop_jkt"} <= query


@pytest.mark.slow
def test_no_generated_request_is_answered_with_a_fault_of_ours(house: Installation):
    """Good and bad requests for every operation, as the document describes them."""
    document = schemathesis.openapi.from_asgi("/api/openapi.json", house.app())
    answers: list[tuple[str, int]] = []

    for found in document.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        good = operation.as_strategy()
        bad = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

        @BOUNDED
        @given(good | bad)
        def ask(case) -> None:
            answers.append((case.operation.label, case.call().status_code))

        ask()

    assert len(answers) > 4 * len({label for label, _ in answers}) > 100
    assert sorted({label for label, status in answers if status >= 500}) == []
