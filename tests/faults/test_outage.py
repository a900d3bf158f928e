"""The database is silent or gone: probes say so, and nobody who needs it not waits for it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from server.sandbox import seeds
from server.sandbox.visitors import Browser, Program
from tests.simulators.office import PATIENCE, open_office
from tests.simulators.postgresql import Cluster

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
ASKED = {
    "number": "JY10000000000001",
    "purpose": "loan-application",
    "legal_basis": "x",
    "case_ref": "LOAN-2026-0053",
}


def test_a_silent_database_makes_the_house_unready_and_stops_no_other_request(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    """One process serves the probes and the public on one loop."""
    with open_office(tmp_path, own_cluster.url("silent")) as office:
        probe = f"http://127.0.0.1:{office.management_port}/readyz"
        discovery = f"{office.origin}/.well-known/openid-configuration"
        assert httpx.get(discovery, timeout=PATIENCE).status_code == 200

        with own_cluster.silent(), ThreadPoolExecutor(8) as probes:
            asked = [probes.submit(httpx.get, probe, timeout=PATIENCE) for _ in range(8)]
            while not any(each.done() for each in asked):
                for url in (discovery, f"{office.origin}/static/style.css", f"{probe[:-7]}/livez"):
                    assert httpx.get(url, timeout=20).status_code == 200
            answers = [each.result() for each in asked]

        assert {each.status_code for each in answers} == {503}
        assert {each.json()["database"] for each in answers} == {"no answer"}
        office.wait_until_ready()


def test_an_outage_is_answered_with_503_on_every_kind_of_route_and_leaves_one_line_each(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    with open_office(tmp_path, own_cluster.url("outage")) as office:
        secret = office.new_secret("shili-bank")
        bank = Program(office.origin, "shili-bank", secret)
        chen = Browser(office.origin)
        chen.sign_in("chen", seeds.PASSWORD)
        form = chen.open("/verify").forms[0].values
        log = tmp_path / "serve.log"
        basic = httpx.BasicAuth("shili-bank", secret)
        granted = {"grant_type": "client_credentials", "scope": "certificates.verify"}
        asks: dict[str, Callable[[], httpx.Response]] = {
            "page": lambda: chen.client.get("/me"),
            "page, HEAD": lambda: chen.client.head("/me"),
            "form": lambda: chen.client.post("/signout", data=form),
            "browser endpoint": lambda: chen.client.get("/oauth/authorize?client_id=shili-bank"),
            "API": lambda: bank.client.get("/api/v1/purposes"),
            "fast, one segment": lambda: bank.client.get("/api/v1/receipts/none"),
            "fast, verification": lambda: bank.client.post("/api/v1/verifications", json=ASKED),
            "fast, checkpoint": lambda: httpx.get(f"{office.origin}/ledger/checkpoint"),
            "fast, OAuth": lambda: httpx.post(
                f"{office.origin}/oauth/token", auth=basic, data=granted
            ),
        }
        said = log.read_text()

        with own_cluster.down():
            answers = {name: ask() for name, ask in asks.items()}

        for name, answer in answers.items():
            assert answer.status_code == 503, (name, answer.text[:300])
            assert int(answer.headers["retry-after"]) > 0, name
        assert answers["API"].json()["code"] == "database_unavailable"
        assert answers["fast, OAuth"].json()["error"] == "temporarily_unavailable"
        assert "Our records cannot be reached" in answers["page"].text
        lines = log.read_text()[len(said) :].splitlines()
        assert not [line for line in lines if "Traceback" in line or '"unexpected"' in line]
        told = [line for line in lines if "database_unavailable" in line]
        assert len(told) == len(answers), lines
        office.wait_until_ready()
        assert chen.open("/me").status == 200
        bank.close()
        chen.close()
