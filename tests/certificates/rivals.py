"""Processes that work on the same registry at the same moment, each with a house of its own."""

import multiprocessing
import zlib
from collections.abc import Callable
from datetime import datetime
from multiprocessing.synchronize import Barrier, Event
from typing import Any

import orjson

from certificates import Certificates, State
from certificates.register.status import get
from foundation.canonical import b64url_decode
from foundation.database import Database
from foundation.encryption import FieldCipher
from foundation.errors import YinzhengError
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Ledger
from server.services import assemble
from tests.certificates.conftest import LI, PUBLIC_URL
from tests.simulators.clock import MovableClock


def open_room(url: str, master_key: bytes, now: datetime) -> Certificates:
    """A certificate room as another process has it."""
    clock, database = MovableClock(now), Database(url, FieldCipher(master_key))
    keys = Keys(database, SoftwareBackend(master_key), clock)
    ledger = Ledger(database, keys, clock, "yinzheng.test/log")
    return assemble(
        database=database, keys=keys, clock=clock, issuer=PUBLIC_URL, ledger=ledger
    ).certificates


def at_once(
    acts: list[tuple[Callable[..., Any], tuple[Any, ...]]], url: str, key: bytes, now: datetime
) -> list[Any]:
    """Do each act in a process of its own, all beginning together; their answers in order."""
    spawn = multiprocessing.get_context("spawn")
    gate, answers = spawn.Barrier(len(acts)), spawn.Queue()
    processes = [
        spawn.Process(
            target=_do, args=(act, words, (url, key, now), gate, answers, number), daemon=True
        )
        for number, (act, words) in enumerate(acts)
    ]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(30)
    return [found[number] for number in range(len(acts))]


def _do(
    act: Callable[..., Any],
    words: tuple[Any, ...],
    house: tuple[str, bytes, datetime],
    gate: Barrier,
    answers: Any,
    number: int,
) -> None:
    room = open_room(*house)
    gate.wait(60)
    try:
        answers.put((number, act(room, *words)))
    except YinzhengError as refused:
        answers.put((number, refused.code))
    except Exception as failure:
        answers.put((number, f"failed: {failure!r}"))
    room.close()


def issue(room: Certificates, draft_ids: list[str]) -> list[str]:
    return [room.issue(draft_id).identifier for draft_id in draft_ids]


def approve(room: Certificates, draft_id: str, digest: str) -> str:
    return str(room.approve(LI, draft_id, digest).state)


def return_(room: Certificates, draft_id: str) -> str:
    return str(room.return_(LI, draft_id, "unclear").state)


def revoke(room: Certificates, identifier: str) -> str:
    return str(room.change_state(LI, identifier, State.REVOKED, "serious_violation").state)


def value_in_list(room: Certificates, list_id: int, index: int) -> int:
    """What the public list says of a slot now."""
    payload = room.status_lists.publish(list_id).token.split(".")[1]
    packed = orjson.loads(b64url_decode(payload))["status_list"]["lst"]
    return get(zlib.decompress(b64url_decode(packed)), index)


def watch(
    url: str, key: bytes, now: datetime, slot: tuple[int, int], revoked: Event, heard: Any
) -> None:
    """Read a slot again and again until the act was acknowledged, and once more."""
    room = open_room(url, key, now)
    early = {value_in_list(room, *slot)}
    heard.put("ready")
    while not revoked.is_set():
        early.add(value_in_list(room, *slot))
    heard.put((early, value_in_list(room, *slot)))
    room.close()
