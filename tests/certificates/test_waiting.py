"""What was approved is never lost to a clock or a key: it waits, says why, and goes on."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from certificates.rules import DraftState
from keys.models import KeyState
from keys.models import keys as key_rows
from tests.certificates.bulk.test_batches import few, upload, written
from tests.certificates.conftest import FOOD, LI, WANG

Repair = Callable[[], object]


@pytest.fixture(params=["clock ahead", "clock behind", "no active key", "key on its last day"])
def fault(request, keys, seals, clock, database) -> Callable[[], Repair]:
    """Breaks something outside, after the approval; what it answers puts it right."""
    (seal,) = seals.for_owner(WANG.organisation)

    def moved(by: timedelta) -> Repair:
        clock.advance(by)
        return lambda: clock.advance(-by)

    def changed(state: KeyState) -> None:
        with database.write() as tx:
            tx.execute(update(key_rows).where(key_rows.c.use == seal.use).values(state=state))

    def stopped() -> Repair:
        with database.write() as tx:
            keys.stop(tx, seal.use, clock())
        return lambda: changed(KeyState.ACTIVE)

    return {
        "clock ahead": lambda: moved(timedelta(days=20_000)),
        "clock behind": lambda: moved(-timedelta(hours=2)),
        "no active key": stopped,
        "key on its last day": lambda: moved(seal.valid_until - clock() + timedelta(minutes=1)),
    }[request.param]


def test_an_approved_licence_waits_out_what_lies_outside(certificates, jobs, fault) -> None:
    draft = certificates.submit(WANG, certificates.draft(WANG, "food-business-licence", FOOD).id)
    certificates.approve(LI, draft.id, draft.content_digest)
    repair = fault()
    for _ in range(12):  # more often than any other failure is tried again
        for trouble in jobs.troubles():
            jobs.try_again(trouble.id)
        jobs.run_pending()

    waiting = certificates.find_draft(LI, draft.id)
    trouble = certificates.trouble(waiting)
    assert waiting.state is DraftState.APPROVED
    assert trouble is not None
    assert trouble.state == "waiting"
    assert trouble.problem.partition(":")[0] in {"seal_not_usable", "approval_from_future"}

    repair()
    assert jobs.try_again(trouble.id)
    jobs.run_pending()
    sealed = certificates.find_draft(LI, draft.id)
    assert sealed.state is DraftState.SEALED
    assert certificates.trouble(sealed) is None


def test_a_batch_waits_too_and_its_rows_have_not_failed(batches, jobs, fault) -> None:
    checked = upload(batches, written(few()))
    batches.submit(WANG, checked.id)
    batches.approve(LI, checked.id, checked.content_digest)
    repair = fault()
    for _ in range(3):
        jobs.run_pending()

    progress, trouble = batches.progress(LI, checked.id), batches.trouble(LI, checked.id)
    assert (progress.state, progress.issued, progress.failed) == ("running", 0, 0)
    assert trouble is not None
    assert trouble.state == "waiting"

    repair()
    assert jobs.try_again(trouble.id)
    jobs.run_pending()
    progress = batches.progress(LI, checked.id)
    assert (progress.state, progress.issued) == ("done", progress.rows)
    assert batches.trouble(LI, checked.id) is None
