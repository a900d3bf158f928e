"""A house whose keys live in another process, and what callers see while that process is dead."""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from asn1crypto import tsp
from sqlalchemy import create_engine, text

from keys.custody.backends.pkcs11 import ANSWER_WITHIN
from tests.keys.key_process import Process
from tests.keys.remote_module import RemoteModule, the_remote_module
from tests.keys.timestamping.test_timestamps import Answer
from tests.simulators.office import Office, open_office

PROGRAM = "shili-bank"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    process.start()
    yield process
    process.end(signal.SIGTERM)


@pytest.fixture
def house(service: Process, tmp_path: Path) -> Iterator[Office]:
    (tmp_path / "web").mkdir()
    store = f"unix:{service.path}"
    with open_office(tmp_path / "web", YINZHENG_KEY_STORE=store) as office:
        yield office


def token(house: Office, secret: str) -> httpx.Response:
    return httpx.post(
        f"{house.origin}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(PROGRAM, secret),
        timeout=20,
    )


def time_stamp(house: Office) -> str:
    """Ask for a time-stamp; answers what became of it."""
    imprint = {
        "hash_algorithm": {"algorithm": "sha256"},
        "hashed_message": hashlib.sha256(b"x").digest(),
    }
    query = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "cert_req": True})
    answer = httpx.post(
        f"{house.origin}/tsa",
        content=query.dump(),
        headers={"content-type": "application/timestamp-query"},
        timeout=20,
    )
    assert answer.status_code == 200
    return Answer.load(answer.content)["status"]["status"].native


def eventually(seen: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if seen():
            return True
        time.sleep(0.3)
    return False


def ready(house: Office) -> int:
    return httpx.get(f"http://127.0.0.1:{house.management_port}/readyz", timeout=20).status_code


def test_a_dead_key_service_is_a_503_until_it_is_back_and_the_web_is_not_restarted(
    house: Office, service: Process
) -> None:
    secret = house.new_secret(PROGRAM)
    assert token(house, secret).status_code == 200
    assert time_stamp(house) == "granted"

    service.end(signal.SIGKILL)
    refused = token(house, secret)
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["retry-after"]) > 0
    assert "Traceback" not in refused.text
    assert time_stamp(house) == "rejection"
    assert ready(house) == 503
    assert httpx.get(f"{house.origin}/keys/jwks.json").status_code == 200

    service.start()

    assert eventually(lambda: ready(house) == 200)
    assert token(house, secret).status_code == 200
    assert time_stamp(house) == "granted"


@contextmanager
def on_a_module(folder: Path) -> Iterator[tuple[Office, str, RemoteModule]]:
    """A house whose keys are in a hardware module, and the secret of a program that got a token."""
    module = the_remote_module()
    with open_office(folder, YINZHENG_KEY_STORE=module.token.uri()) as house:
        secret = house.new_secret(PROGRAM)
        assert token(house, secret).status_code == 200
        yield house, secret, module


@contextmanager
def silent(module: RemoteModule) -> Iterator[None]:
    module.stop_answering()
    try:
        yield
    finally:
        module.answer_again()


@pytest.mark.softhsm
@pytest.mark.p11kit
def test_a_hardware_module_that_does_not_answer_is_a_503_in_time_and_is_found_again(
    tmp_path: Path,
) -> None:
    with on_a_module(tmp_path) as (house, secret, module):
        with silent(module):
            began = time.monotonic()
            refused = [token(house, secret) for _ in range(3)]
            took = time.monotonic() - began
            assert httpx.get(f"{house.origin}/keys/jwks.json").status_code == 200

        assert {answer.status_code for answer in refused} == {503}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert "Traceback" not in refused[0].text
        assert took < ANSWER_WITHIN + 5  # the first one waited, the others were told at once
        assert eventually(lambda: token(house, secret).status_code == 200)


@pytest.mark.softhsm
@pytest.mark.p11kit
def test_whoever_needs_no_signature_is_answered_while_a_hardware_module_is_silent(
    tmp_path: Path,
) -> None:
    with on_a_module(tmp_path) as (house, secret, module):
        with silent(module), ThreadPoolExecutor(8) as askers:
            waiting = [askers.submit(token, house, secret) for _ in range(4)]
            waiting += [askers.submit(time_stamp, house) for _ in range(4)]
            while any(not asker.running() for asker in waiting):
                time.sleep(0.01)
            time.sleep(1)  # so that each of them has come to its signature
            keys = httpx.get(f"{house.origin}/keys/jwks.json", timeout=20).status_code
            alive = httpx.get(
                f"http://127.0.0.1:{house.management_port}/livez", timeout=20
            ).status_code
            still_waiting = [not asker.done() for asker in waiting]

        assert (keys, alive) == (200, 200)
        assert all(still_waiting), "and nobody had been told yet that the module is silent"
        assert all(asker.exception() is None for asker in waiting)


def test_no_web_process_has_a_private_key(house: Office, service: Process) -> None:
    engine = create_engine(f"sqlite:///{house.folder}/yinzheng.db")
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT use, backend, handle FROM keys")).all()
    engine.dispose()

    assert {use for use, _, _ in stored} >= {"ca.root", "ca.issuing", "tsa"}
    assert sum(use.startswith("seal/") for use, _, _ in stored) >= 3
    assert {backend for _, backend, _ in stored} == {"unix"}
    own, theirs = house.folder / "master.key", service.data / "master.key"
    assert own.read_bytes() != theirs.read_bytes()
    assert os.stat(theirs).st_mode & 0o077 == 0
