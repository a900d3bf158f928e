"""What is approved and not sealed yet: the page says why, and what happens next."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import portal.officer.bulk_progress
from certificates.bulk.batches import ISSUING
from certificates.issuing.drafts import SEALING
from keys.errors import KeyStoreUnavailable
from tests.portal.conftest import Browse
from tests.portal.officer.test_bulk import submitted as batch_submitted
from tests.portal.officer.test_drafts import submitted
from tests.portal.surfer import Page

AWAY = KeyStoreUnavailable("the module is silent", retry_after=5)


@contextmanager
def failing(house, task: str, failure: Exception) -> Iterator[None]:
    """What the task depends on fails while the block lasts."""
    works = house.jobs._tasks[task]

    def fails(payload: dict) -> None:
        raise failure

    house.jobs.register(task, fails)
    yield
    house.jobs.register(task, works)


def soon(surfer, path: str, seen: Callable[[Page], bool]) -> Page:
    for _ in range(100):
        page = surfer.get(path)
        if seen(page):
            return page
        time.sleep(0.1)
    raise AssertionError(page.text)


def test_a_licence_that_waits_says_why_and_is_sealed_when_the_cause_is_over(house, browse: Browse):
    draft_id = submitted(browse("zhao"))
    surfer = browse("sun")
    path = f"/staff/drafts/{draft_id}/preview"
    with failing(house, SEALING, AWAY):
        page = surfer.get(f"/staff/review/{draft_id}")
        surfer.send(page, f"/staff/review/{draft_id}/approve")
        page = soon(surfer, path, lambda page: "Not sealed yet" in page.text)
        assert "the keys that seal cannot be used" in page.text
        assert "tried again by itself, next at" in page.text
        assert "Sealing takes a few seconds" not in page.text

    for trouble in house.jobs.troubles():
        house.jobs.try_again(trouble.id)
    page = soon(surfer, path, lambda page: "/staff/certificates/" in str(page.links))
    assert "Not sealed yet" not in page.text


def test_what_is_not_tried_again_by_itself_says_whom_to_tell(
    house, browse: Browse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("foundation.jobs.work.MAX_ATTEMPTS", 1)
    draft_id = submitted(browse("zhao"))
    surfer = browse("sun")
    with failing(house, SEALING, ValueError()):
        page = surfer.get(f"/staff/review/{draft_id}")
        surfer.send(page, f"/staff/review/{draft_id}/approve")
        path = f"/staff/drafts/{draft_id}/preview"
        page = soon(surfer, path, lambda page: "jobs retry" in page.text)

    [trouble] = [each for each in house.jobs.troubles() if each.payload == {"draft": draft_id}]
    assert f"job {trouble.id}" in page.text
    assert "something failed on our side" in page.text


def test_a_batch_that_waits_says_why(house, browse: Browse, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(portal.officer.bulk_progress, "LOOK_FOR", 0.0)
    path = batch_submitted(browse("adams"))
    approver = browse("baker")
    with failing(house, ISSUING, AWAY):
        approver.send(approver.get(path), f"{path}/approve")
        page = soon(approver, f"{path}/progress", lambda page: "Not sealed yet" in page.text)
        assert "the keys that seal cannot be used" in page.text

    for trouble in house.jobs.troubles():
        house.jobs.try_again(trouble.id)
    page = soon(approver, f"{path}/progress", lambda page: "All done." in page.text)
    assert "Not sealed yet" not in page.text
