"""DER by hand against asn1crypto, which knows nothing of ours."""

from datetime import UTC, datetime
from typing import ClassVar

import pytest
from asn1crypto import core
from hypothesis import example, given
from hypothesis import strategies as st

from foundation.errors import Malformed
from keys.encoding import der

_seconds = st.integers(-600_000_000, 5_000_000_000)


@given(st.integers(-(2**140), 2**140))
def test_integers_are_written_in_their_shortest_form(value: int) -> None:
    assert der.integer(value) == core.Integer(value).dump()


@given(st.binary(max_size=70_000))
def test_octet_strings_of_every_length_class(content: bytes) -> None:
    assert der.octet_string(content) == core.OctetString(content).dump()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_lengths_at_the_edges_of_their_encodings(size: int) -> None:
    encoded = der.octet_string(b"x" * size)

    assert encoded == core.OctetString(b"x" * size).dump()
    assert der.read(encoded) == (0x04, b"x" * size, len(encoded))


@given(st.binary(max_size=300))
def test_bit_strings_of_whole_bytes(content: bytes) -> None:
    assert der.bit_string(content) == core.OctetBitString(content).dump()


@given(st.sets(st.integers(0, 25), min_size=1))
def test_named_bits_leave_out_trailing_zeros(bits: set[int]) -> None:
    class Flags(core.BitString):
        _map: ClassVar = {n: str(n) for n in range(26)}  # type: ignore[misc, assignment]

    assert der.named_bits(*bits) == Flags({str(bit) for bit in bits}).dump()


@given(
    st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**120), min_size=1, max_size=8)
)
def test_object_identifiers_with_arcs_of_any_size(first: int, second: int, rest: list[int]) -> None:
    dotted = ".".join(map(str, (first, second, *rest)))

    assert der.object_identifier(dotted) == core.ObjectIdentifier(dotted).dump()


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6))
def test_a_set_is_in_ascending_order_of_its_encodings(contents: list[bytes]) -> None:
    class Strings(core.SetOf):
        _child_spec = core.OctetString

    assert der.set_of(map(der.octet_string, contents)) == Strings(contents).dump()


@given(_seconds)
def test_times_change_form_in_2050(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    oracle = core.UTCTime if moment.year < 2050 else core.GeneralizedTime

    assert der.time(moment) == oracle(moment).dump()


@given(st.binary(max_size=64))
def test_reading_arbitrary_bytes_answers_or_refuses(data: bytes) -> None:
    try:
        elements = der.read_all(data)
    except Malformed:
        return
    assert b"".join(encoded for _, _, encoded in elements) == data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x04", "too early"),
        (b"\x04\x05abcd", "too early"),
        (b"\x04\x81\x05abcde", "shortest"),
        (b"\x04\x82\x00\x80" + b"x" * 128, "shortest"),
        (b"\x04\x80abcd\x00\x00", "shortest"),
        (b"\x1f\x81\x01\x00", "several bytes"),
    ],
)
def test_what_is_ber_but_not_der_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        der.read(data)


@given(st.binary(max_size=24))
@example(b"\x80")
def test_an_integer_is_read_only_in_the_form_it_is_written(content: bytes) -> None:
    try:
        value = der.read_integer(content)
    except Malformed:
        return
    assert der.integer(value)[2:] == content


@given(st.integers(-(2**140), 2**140))
def test_every_integer_can_be_read_back(value: int) -> None:
    assert der.read_integer(der.read(der.integer(value))[1]) == value
