"""A client that keeps a history: what was acknowledged, and what it never got an answer to.

The method of every fault test: run this against the house, break something, mend it, then ask for
everything the history says. An acknowledged answer must still be there; an unknown outcome is
resolved by sending the same request with the same Idempotency-Key again, and happens once.
"""

import threading
import time
from dataclasses import dataclass, field

import httpx

from server.sandbox.visitors import Program
from tests.simulators.office import Office

REASON = {
    "purpose": "loan-application",
    "legal_basis": "Consent of the licence holder",
    "case_ref": "LOAN-2026-0099",
}

PATIENCE = 90.0


@dataclass
class History:
    """Receipts by idempotency key; keys without an answer."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


class Traffic:
    """Verifies one number after another in a thread until `stop`."""

    def __init__(self, office: Office, program: Program) -> None:
        self.history = History()
        self._office = office
        self._headers = {"authorization": f"Bearer {program.token}"}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> History:
        self._stop.set()
        self._thread.join(timeout=60)
        return self.history

    def ask(self, key: str) -> str:
        """One verification; answers its receipt's id."""
        response = httpx.post(
            f"{self._office.origin}/api/v1/verifications",
            json={"number": "1543954-20050216", **REASON},
            headers={**self._headers, "idempotency-key": key},
            timeout=30,
        )
        return str(response.raise_for_status().json()["receipt_id"])

    def resolve(self, key: str) -> str:
        """The receipt's id behind an unknown outcome, at once: what was decided is kept with its
        entry, and what was not decided is decided now.
        """
        return self.ask(key)

    def wait_for(self, acknowledgements: int) -> None:
        """Until so many more answers have come."""
        wanted = len(self.history.acknowledged) + acknowledgements
        deadline = time.monotonic() + PATIENCE
        while len(self.history.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"no answers: {self._office.said()}"
            time.sleep(0.05)

    def receipt(self, receipt_id: str) -> bytes:
        url = f"{self._office.origin}/api/v1/receipts/{receipt_id}"
        response = httpx.get(url, params={"wait": "proof"}, headers=self._headers, timeout=30)
        return response.raise_for_status().content

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            key = f"fault-{number:06}"
            try:
                self.history.acknowledged[key] = self.ask(key)
            except httpx.HTTPError:
                self.history.unknown.append(key)
                self._stop.wait(0.05)
