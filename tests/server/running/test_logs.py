"""Log lines are JSON, and hold nothing that could be personal or secret."""

import json
import logging

import pytest
import structlog

from server.running import logs


@pytest.fixture(autouse=True)
def configured():
    before = logging.getLogger().handlers[:]
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before


def test_a_line_is_json_with_time_level_and_event(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger("http").warning("job_failed", job=7)

    line = json.loads(capsys.readouterr().err)

    assert (line["event"], line["level"], line["job"]) == ("job_failed", "warning", 7)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("name", ["password", "token", "id_number", "holder_name", "code", "url"])
def test_what_could_be_personal_or_secret_is_dropped_whoever_writes_it(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    logs.configure("info")
    structlog.get_logger("http").info("something", **{name: "陈静怡 hunter2"})

    said = capsys.readouterr().err

    assert "hunter2" not in said
    assert json.loads(said)[name] == "…"


def test_a_library_tells_that_it_failed_and_never_what_it_saw(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A web server or a driver quotes the request or the row in its message and traceback."""
    logs.configure("info")
    try:
        raise ValueError("陈静怡 hunter2")
    except ValueError:
        logging.getLogger("driver").exception("in the request of %s", "陈静怡")

    said = capsys.readouterr().err

    line = json.loads(said)
    assert (line["event"], line["level"]) == ("driver", "error")
    assert line["failure"] == "ValueError"
    assert "hunter2" not in said
    assert "陈静怡" not in said
