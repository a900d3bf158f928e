"""Names that order themselves by time."""

import uuid
from datetime import UTC, datetime, timedelta

from foundation.ids import leading_uuid, uuid7

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_name_is_a_uuid_of_version_seven_as_python_reads_it():
    for _ in range(100):
        name = uuid.UUID(uuid7(NOW))

        assert (name.version, name.variant) == (7, uuid.RFC_4122)
        assert name.int >> 80 == int(NOW.timestamp() * 1000)


def test_later_names_sort_after_earlier_ones():
    names = [uuid7(NOW + timedelta(milliseconds=at)) for at in range(0, 5000, 7)]

    assert names == sorted(names)


def test_two_names_of_one_moment_differ_and_the_same_chance_gives_the_same_name():
    assert len({uuid7(NOW) for _ in range(1000)}) == 1000
    assert uuid7(NOW, bytes) == uuid7(NOW, bytes)


def test_a_text_that_begins_with_a_name_gives_it_away():
    name = uuid7(NOW)

    assert leading_uuid(name + "rest") == name
    for text in ("", name[:-1], "\0" * 40, "０" * 40, name.upper() + "rest"):
        assert leading_uuid(text) == ""
