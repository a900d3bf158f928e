"""What are the signatures of a PDF that we did not make, or that is no longer what we made?

A library that reads every PDF there is (pyHanko) does it, in a process of its own (`examiner`) with
a limit on memory, processor time and wall-clock time; and only a few at once, because anybody may
hand in a file and each may take a gigabyte. What comes back are facts about integrity and the raw
certificates and time-stamp; whether anybody trusts them is decided on this side.
"""

import base64
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from foundation.errors import Unavailable
from signing.formats.pdf_layout import NO_EVIDENCE, Evidence

_PROGRAM = Path(__file__).with_name("examiner.py")
WALL_SECONDS = 30.0
AT_ONCE = 4  # examinations of one process of ours
PATIENCE = 5.0  # seconds that a file waits for its turn
_TURNS = threading.BoundedSemaphore(AT_ONCE)


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


def examine(data: bytes, seconds: float = WALL_SECONDS, patience: float = PATIENCE) -> Examination:
    """Have a PDF examined. Errors: unreadable or encrypted (the file), too_complex (a limit).

    Raises `Unavailable` when others are still being examined after `patience` seconds.
    """
    if not _TURNS.acquire(timeout=patience):
        raise Unavailable("too many documents are being read just now", retry_after=10)
    try:
        return _examined(data, seconds)
    finally:
        _TURNS.release()


def _examined(data: bytes, seconds: float) -> Examination:
    try:
        done = subprocess.run(  # noqa: S603 - our own program, nothing of the file in its arguments
            [sys.executable, "-I", str(_PROGRAM)],
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
