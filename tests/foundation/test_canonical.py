"""One byte string for one value; one text for one byte string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.canonical import b64url, b64url_decode, canonical, digest
from foundation.errors import Malformed
from foundation.paging import decode_cursor, encode_cursor, page_of


def test_the_example_of_rfc_8785_is_reproduced() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "€$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }

    assert (
        canonical(value)
        == (
            '{"literals":[null,true,false],'
            '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_what_json_cannot_say_exactly_is_refused() -> None:
    for value in [float("nan"), {1: "a"}, 2**60, "\ud800", b"bytes"]:
        with pytest.raises(Malformed):
            canonical(value)


def test_key_order_does_not_change_the_digest() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


@given(st.binary())
def test_base64url_has_one_text_for_one_value(data: bytes) -> None:
    assert b64url_decode(b64url(data)) == data


@pytest.mark.parametrize("text", ["YQ==", "YR", "Y", "Y+8", "Y Q", "YQ\n", "é"])
def test_base64url_with_twins_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        b64url_decode(text)


def test_a_page_tells_whether_there_is_more() -> None:
    first = page_of([1, 2, 3], 2, lambda n: (n,))

    assert first.items == (1, 2)
    assert decode_cursor(first.next or "", int) == (2,)
    assert page_of([3], 2, lambda n: (n,)).next is None


@pytest.mark.parametrize("cursor", ["", "x", "!!", encode_cursor("a"), encode_cursor(1, 2)])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Malformed):
        decode_cursor(cursor, int)
