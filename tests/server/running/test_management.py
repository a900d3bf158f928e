"""What operators see: health and numbers, and neither holds an address or a person."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.assembly import Installation, opened
from server.running.management import Metrics
from server.sandbox import seeds
from server.settings import Settings, UnusableSettings


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with opened(Settings(data_dir=tmp_path_factory.mktemp("managed"))) as house:
        seeds.seed(house)
        yield house


def get(app: object, *paths: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


def test_a_house_in_order_is_ready(house: Installation) -> None:
    live, started, ready = get(house.management(), "/livez", "/startupz", "/readyz")

    assert (live.status_code, started.status_code, ready.status_code) == (200, 200, 200)
    assert set(ready.json().values()) == {"ok"}


def test_a_process_that_stops_is_not_ready_and_says_so(house: Installation) -> None:
    management = house.management()
    management.draining.set()

    ready, live = get(management, "/readyz", "/livez")

    assert (ready.status_code, live.status_code) == (503, 200)
    assert "draining" in ready.json()


def test_a_part_that_fails_is_named_without_what_it_said(
    house: Installation, tmp_path: Path
) -> None:
    from server.running.management import Management

    def broken() -> str:
        raise RuntimeError("password=hunter2")

    (ready,) = get(Management(house.metrics, {"database": broken}), "/readyz")

    assert ready.status_code == 503
    assert ready.json() == {"database": "RuntimeError"}


def test_both_lanes_are_counted_by_route_and_never_by_address(house: Installation) -> None:
    get(house.app(), "/keys/jwks.json", "/verify", "/v/secret-token", "/nowhere/at/all", "/me")

    (metrics,) = get(house.management(), "/metrics")
    lines = [line for line in metrics.text.splitlines() if "http_requests_total{" in line]

    assert any('method="GET"' in line and 'status_class="2xx"' in line for line in lines)
    assert any('route="none"' in line and 'status_class="4xx"' in line for line in lines)
    assert any('route="verify"' in line for line in lines), lines
    assert "secret-token" not in metrics.text
    assert "/nowhere" not in metrics.text


def test_times_are_counted_in_the_bucket_that_holds_them() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.001, 0.0011, 7.0, 60.0):
        metrics.answered("jwks", "GET", 200, seconds)
    metrics.answered("jwks", "BREW", 418, 0.2)

    samples = {
        (sample.name, sample.labels["status_class"], sample.labels.get("le", "")): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if "route" in sample.labels
    }

    times = "yinzheng_http_request_seconds"
    bounds = ("0.001", "0.0025", "5.0", "10.0", "+Inf")
    assert [samples[f"{times}_bucket", "2xx", each] for each in bounds] == [2, 3, 3, 4, 5]
    assert samples[f"{times}_count", "2xx", ""] == 5
    assert samples[f"{times}_sum", "2xx", ""] == pytest.approx(67.0026)
    assert samples["yinzheng_http_requests_total", "4xx", ""] == 1


def test_nothing_else_is_served_there(house: Installation) -> None:
    (answer,) = get(house.management(), "/staff")

    assert answer.status_code == 404


TOKEN = "0123456789abcdef0123456789abcdef"


def test_numbers_beyond_this_machine_need_the_token_and_probes_need_none(
    house: Installation,
) -> None:
    from server.running.management import Management

    management = Management(house.metrics, {}, TOKEN)
    transport = httpx.ASGITransport(app=management)

    async def ask(path: str, authorization: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path, headers={"authorization": authorization})

    for wrong in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0"):
        refused = asyncio.run(ask("/metrics", wrong))
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert "yinzheng_" not in refused.text
    assert asyncio.run(ask("/metrics", f"Bearer {TOKEN}")).status_code == 200
    probes = get(management, "/livez", "/readyz", "/startupz")
    assert [each.status_code for each in probes] == [200, 200, 200]


def test_the_port_is_opened_beyond_this_machine_with_a_token_only(tmp_path: Path) -> None:
    short, good = tmp_path / "short", tmp_path / "good"
    short.write_text("0123456789\n")
    good.write_text(f"{TOKEN}\n")
    anywhere = "0.0.0.0"

    for wrong in (
        {"management_host": anywhere},
        {"management_host": "::"},
        {"management_host": anywhere, "management_token_file": short},
        {"management_host": anywhere, "management_token_file": tmp_path / "missing"},
        {"management_token_file": short},
        {"management_host": "somewhere"},
    ):
        with pytest.raises(UnusableSettings, match="YINZHENG_MANAGEMENT"):
            Settings(data_dir=tmp_path, **wrong)

    opened_wide = Settings(data_dir=tmp_path, management_host=anywhere, management_token_file=good)
    assert opened_wide.management_token == TOKEN
    assert Settings(data_dir=tmp_path).management_token == ""
