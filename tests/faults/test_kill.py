"""kill -9 of the serving process in the middle of its work: nothing lost, nothing twice."""

import time
from pathlib import Path

import pytest

from server.sandbox import seeds
from server.sandbox.visitors import Browser, Program
from tests.faults.traffic import Traffic
from tests.simulators.office import Office

SAMPLE = Path("certificates/samples/chicago-business-licences.csv")
PATIENCE = 240.0

pytestmark = pytest.mark.slow


def officer(office: Office, name: str) -> Browser:
    browser = Browser(office.origin)
    browser.sign_in(name, seeds.PASSWORD)
    return browser


def approve_the_sample(office: Office) -> str:
    """Upload, submit, approve; answers the address of the batch that now runs."""
    adams, baker = officer(office, "adams"), officer(office, "baker")
    chosen = {"type": "chicago-business-licence", "mapping": "chicago"}
    file = {"file": ("register.csv", SAMPLE.read_bytes(), "text/csv")}
    batch = adams.open("/staff/bulk").send("/staff/bulk", chosen, file)
    batch.send(f"{batch.path}/submit", {})
    page = baker.open(batch.path)
    action = f"{batch.path}/approve"
    digest = page.form(action).values
    answer = baker.client.post(action, data=digest)  # the page it leads to would stay open
    assert answer.status_code == 303
    return batch.path


def issued(office: Office, name: str = "certificates") -> tuple[int, int]:
    """(rows, different numbers) in the register, read past the product."""
    query = f"SELECT count(*), count(DISTINCT number) FROM {name}"
    if url := office.settings["YINZHENG_DATABASE_URL"]:
        import psycopg

        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            rows, numbers = connection.execute(query).fetchone() or (0, 0)
    else:
        import sqlite3

        file = sqlite3.connect(f"file:{office.folder}/yinzheng.db?mode=ro", uri=True)
        rows, numbers = file.execute(query).fetchone()
        file.close()
    return int(rows), int(numbers)


def wait_for(office: Office, at_least: int) -> int:
    deadline = time.monotonic() + PATIENCE
    while (rows := issued(office)[0]) < at_least:
        assert time.monotonic() < deadline, f"{rows} of {at_least}: {office.said()}"
        time.sleep(0.05)
    return rows


def test_kill_9_during_the_bulk_leaves_300_issued_none_twice_and_a_clean_ledger(
    office: Office,
) -> None:
    approve_the_sample(office)
    wait_for(office, 20)

    office.kill()
    after_the_kill = issued(office)[0]
    office.start()
    office.wait_until_ready()
    wait_for(office, 300)

    assert 20 <= after_the_kill < 300, "the kill did not come in the middle"
    assert issued(office) == (300, 300)
    deadline = time.monotonic() + PATIENCE
    size, problems = office.fsck()
    while size < 300 and time.monotonic() < deadline:  # the integrator has its own pace
        size, problems = office.fsck()
    assert problems == []
    assert size >= 300


def test_what_was_acknowledged_before_kill_9_is_there_after_it(office: Office) -> None:
    program = Program(office.origin, "shili-bank", office.new_secret("shili-bank"))
    traffic = Traffic(office, program)
    traffic.start()
    traffic.wait_for(20)

    office.kill()
    office.start()
    office.wait_until_ready()
    traffic.wait_for(5)
    history = traffic.stop()

    assert history.unknown, "the kill went unnoticed"
    for receipt_id in history.acknowledged.values():
        assert traffic.receipt(receipt_id)
    resolved = {key: traffic.resolve(key) for key in history.unknown[:3]}
    assert resolved == {key: traffic.ask(key) for key in resolved}  # once, however often asked
    assert office.fsck()[1] == []
