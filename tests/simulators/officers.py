"""Two officers at their pages: one writes, the other agrees, and a licence comes out."""

import time

from server.sandbox.demo import FOOD, TYPE
from server.sandbox.visitors import Browser
from tests.simulators.office import PATIENCE

REGISTER = "/staff/certificates/"


def submitted(drafter: Browser) -> str:
    """A food licence drafted and handed to a second officer; answers the draft's id."""
    page = drafter.open("/staff/drafts/new", type=TYPE)
    page = page.send("/staff/drafts", {**FOOD, "then": "preview"})
    draft = page.path.split("/")[3]
    page.send(f"/staff/drafts/{draft}/submit", {})
    return draft


def sealed(drafter: Browser, approver: Browser) -> str:
    """A food licence through both officers; answers its identifier."""
    draft = submitted(drafter)
    approver.open(f"/staff/review/{draft}").send(f"/staff/review/{draft}/approve", {})
    return identifier_of(approver, draft)


def identifier_of(officer: Browser, draft: str) -> str:
    """What an approved draft became, as soon as the worker has sealed it."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        page = officer.open(f"/staff/drafts/{draft}/preview")
        for link in page.links:
            if link.startswith(REGISTER):
                return link.removeprefix(REGISTER)
        time.sleep(0.02)
    raise AssertionError("nothing was sealed")
