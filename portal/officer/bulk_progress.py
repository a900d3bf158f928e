"""How far a batch is: one HTML document that goes on being written while the work goes on.

It is live without a line of script, and a reload shows where things stand.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from certificates import Batch, Progress
from foundation.jobs import Trouble
from portal.frame.language import Language
from portal.frame.page_context import PageContext
from portal.frame.problems import Mistake
from portal.officer import troubles

SHOWN = 100  # failed rows on the page
LOOK_EVERY = 1.0  # seconds between two looks at the progress
LOOK_FOR = 60.0  # seconds one answer stays open; then the page asks to be opened again
_HERE = "<!-- progress -->"
_MOVING = {"running"}


def live(context: PageContext, request: Request, batch: Batch) -> Response:
    """The page up to its marker at once, a new line each second, the rest at the end."""
    whole = context.page(request, "progress.html", batch=batch)
    head, tail = bytes(whole.body).decode().split(_HERE)
    answer = StreamingResponse(_written(context, request, batch, head, tail))
    kept = [header for header in whole.raw_headers if header[0] != b"content-length"]
    # A proxy that collects the whole answer first would make the page look dead.
    answer.raw_headers = [*kept, (b"x-accel-buffering", b"no")]
    return answer


async def _written(
    context: PageContext, request: Request, batch: Batch, head: str, tail: str
) -> AsyncIterator[str]:
    yield head
    actor = context.visitor(request).actor
    until = time.monotonic() + LOOK_FOR
    while True:
        now = await run_in_threadpool(context.site.batches.progress, actor, batch.id)
        trouble = await run_in_threadpool(context.site.batches.trouble, actor, batch.id)
        over = now.state not in _MOVING
        late = time.monotonic() >= until
        yield _tick(context, request, batch, now, trouble, over=over, late=late)
        if over or late:
            break
        await asyncio.sleep(LOOK_EVERY)
    yield tail


def _tick(
    context: PageContext,
    request: Request,
    batch: Batch,
    now: Progress,
    trouble: Trouble | None,
    *,
    over: bool,
    late: bool,
) -> str:
    """One line of the log; the stylesheet shows the last one only."""
    visitor = context.visitor(request)
    html, _ = context.pages.html(
        request,
        visitor,
        "progress_line.html",
        batch=batch,
        progress=now,
        over=over,
        late=late,
        may_run=visitor.actor.may("approver"),
        failures=_failures(context.language(request), now),
        trouble=troubles.told(context.language(request), trouble),
    )
    return html


def _failures(lang: Language, progress: Progress) -> Sequence[Mistake]:
    """The first rows that could not be issued, and why."""
    return [Mistake(str(each.row), _why(lang, each.problem)) for each in progress.failures[:SHOWN]]


def _why(lang: Language, code: str) -> str:
    return lang.say(f"rule.{code}" if lang.knows(f"rule.{code}") else "progress.not_issued")
