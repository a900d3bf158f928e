"""What are the signatures of a PDF that we did not make, or that is no longer what we made?

A library that reads every PDF there is (pyHanko) does it, in a process of its own (`examiner`) with
a limit on memory, processor time and wall-clock time. What comes back are facts about integrity and
the raw certificates and time-stamp; whether anybody trusts them is decided on this side.

Anybody may hand in a file, and each may take a gigabyte and half a minute; so only a few are read
at once, by a `Budget` for each kind of asker: strangers' uploads take no slot from a department's
validation, and neither takes one from our own sealing.
"""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from foundation.actor import Actor
from foundation.errors import Unavailable
from signing.trust.evidence import NO_EVIDENCE, Evidence

_PROGRAM = Path(__file__).with_name("examiner.py")
WALL_SECONDS = 30.0
RETRY_AFTER = 10


class Budget:
    """How many files one kind of asker may have read at once in one process of ours.

    `waiting` more wait up to `patience` seconds for a slot; each of them holds a thread, so who
    comes then is told at once. Programs run at `niceness`, behind those of a lower one.
    """

    def __init__(self, at_once: int, waiting: int, patience: float, niceness: int) -> None:
        self.at_once = at_once
        self.waiting = waiting
        self.patience = patience
        self.niceness = niceness
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._slots = threading.BoundedSemaphore(at_once)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Raises `Unavailable` when too many others are there, or none of them ends in time."""
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._slots.acquire(timeout=self.patience):
                raise _busy()
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._places.release()


def _busy() -> Unavailable:
    return Unavailable(
        "too many documents are being read just now",
        retry_after=RETRY_AFTER,
        next_step="Send the document again in a moment.",
    )


PUBLIC = Budget(at_once=2, waiting=4, patience=5.0, niceness=10)
DEPARTMENTS = Budget(at_once=2, waiting=2, patience=5.0, niceness=5)
OWN = Budget(at_once=2, waiting=8, patience=30.0, niceness=0)  # sealing, and what we keep


def budget_of(asker: Actor) -> Budget:
    """Whose slots an upload takes: those of departments for whoever works for one."""
    return DEPARTMENTS if asker.organisation else PUBLIC


@dataclass(frozen=True, slots=True)
class ForeignSignature:
    """One signature; see `examiner` for the words of `coverage` and `changes`."""

    intact: bool
    valid: bool
    coverage: str
    changes: str
    allowed: bool
    certificate: bytes
    embedded: tuple[bytes, ...]
    signature: bytes
    token: bytes
    claimed: datetime | None
    document_stamp: bool


@dataclass(frozen=True, slots=True)
class Examination:
    """The signatures in the order of the file, or why nothing could be said (`error`)."""

    signatures: tuple[ForeignSignature, ...] = ()
    evidence: Evidence = NO_EVIDENCE
    error: str = ""
    detail: str = ""


def examine(data: bytes, seconds: float = WALL_SECONDS, budget: Budget = PUBLIC) -> Examination:
    """Have a PDF examined. Errors: unreadable or encrypted (the file), too_complex (a limit).

    Raises `Unavailable` when the budget is spent on others.
    """
    with budget.slot():
        return examined(data, seconds, budget.niceness)


def examined(data: bytes, seconds: float = WALL_SECONDS, niceness: int = 0) -> Examination:
    """`examine` for whoever has a slot already."""
    try:
        done = subprocess.run(  # noqa: S603 - our own program, nothing of the file in its arguments
            [sys.executable, "-I", str(_PROGRAM), str(niceness)],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
            env={},
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        return Examination(error="too_complex", detail="reading the file takes too long")
    if done.returncode != 0:
        return Examination(error="too_complex", detail="reading the file needs more than we give")
    answer = json.loads(done.stdout)
    return understood(answer)


def understood(answer: dict[str, Any]) -> Examination:
    """The examiner's answer as a value."""
    if "error" in answer:
        return Examination(error=answer["error"], detail=answer["detail"])
    certificates, lists = (
        tuple(base64.b64decode(der) for der in answer[kind]) for kind in ("certificates", "lists")
    )
    signatures = tuple(_signature(found) for found in answer["signatures"])
    return Examination(signatures, Evidence(certificates, lists))


def _signature(found: dict[str, Any]) -> ForeignSignature:
    return ForeignSignature(
        intact=found["intact"],
        valid=found["valid"],
        coverage=found["coverage"],
        changes=found["changes"],
        allowed=found["allowed"],
        certificate=base64.b64decode(found["certificate"]),
        embedded=tuple(base64.b64decode(other) for other in found["embedded"]),
        signature=base64.b64decode(found["signature"]),
        token=base64.b64decode(found["token"]),
        claimed=datetime.fromisoformat(found["claimed"]) if found["claimed"] else None,
        document_stamp=found["kind"] == "/DocTimeStamp",
    )
