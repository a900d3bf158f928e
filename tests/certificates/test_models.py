"""Digests are those of RFC 8785, whatever the values."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from certificates.digests import digest_of_facts
from certificates.models import new_id
from foundation.canonical import digest

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=12)
PLAIN = st.none() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20)
VALUES = PLAIN | st.dictionaries(NAMES, st.text(max_size=20), max_size=5)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_the_fast_digest_is_the_canonical_one(facts):
    assert digest_of_facts(facts) == digest(facts)


def test_ids_order_by_time():
    now = datetime(2026, 11, 24, tzinfo=UTC)

    earlier = new_id(now, b"\xff" * 10)
    later = new_id(now + timedelta(milliseconds=1), b"\x00" * 10)

    assert earlier < later
    assert len(later) == 32
