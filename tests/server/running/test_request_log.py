"""Lines of requests: cheap for who answers, whole for who reads, and never in anybody's way."""

import json

import pytest

from server.running.request_log import MOST_WAITING, RequestLog


def noted(log: RequestLog, *, status: int = 200, method: str = "GET", who: str = "") -> None:
    log.note("0123456789abcdef", method, "/v/{token}", status, 0.00421234567, who)


def test_a_line_says_what_was_asked_by_whom_and_how_it_ended() -> None:
    written: list[str] = []
    log = RequestLog("info", written.append)

    noted(log, who="citizen")
    log.flush()

    line = json.loads("".join(written))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "0123456789abcdef",
        "method": "GET",
        "route": "/v/{token}",
        "status": 200,
        "seconds": 0.004212,
        "who": "citizen",
    }


@pytest.mark.parametrize(
    ("level", "written"),
    [("info", [200, 404, 503]), ("warning", [404, 503]), ("error", [503]), ("off", [])],
)
def test_the_level_decides_by_the_status(level: str, written: list[int]) -> None:
    text: list[str] = []
    log = RequestLog(level, text.append)

    for status in (200, 404, 503):
        noted(log, status=status)
    log.flush()

    assert [json.loads(line)["status"] for line in "".join(text).splitlines()] == written


def test_a_method_that_somebody_made_up_is_not_repeated() -> None:
    text: list[str] = []
    log = RequestLog("info", text.append)

    noted(log, method="CHENJINGYI")
    log.flush()

    assert json.loads(text[0])["method"] == "other"


def test_each_write_holds_whole_lines_that_a_pipe_takes_at_once() -> None:
    text: list[str] = []
    log = RequestLog("info", text.append)

    for _ in range(100):
        log.note("0123456789abcdef", "OPTIONS", "/r/{x}" * 8, 503, 12.345678, "client-" * 4)
    log.flush()

    assert sum(each.count("\n") for each in text) == 100
    assert all(each.endswith("\n") and len(each) <= 4096 for each in text)


def test_what_does_not_fit_is_counted_and_the_count_is_told() -> None:
    text: list[str] = []
    log = RequestLog("info", text.append)

    for _ in range(MOST_WAITING + 3):
        noted(log)
    log.flush()

    assert json.loads(text[-1]) == {"event": "request_lines_lost", "level": "error", "count": 3}


def test_what_waits_is_written_at_the_end_and_a_broken_stream_stops_nothing() -> None:
    text: list[str] = []
    with RequestLog("info", text.append) as log:
        noted(log)
    assert len(text) == 1

    def broken(_: str) -> None:
        raise BrokenPipeError

    with RequestLog("info", broken) as log:
        noted(log)
