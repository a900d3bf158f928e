"""Random bytes for many values at once."""

from foundation.chance import drawn_at_once


def test_no_byte_is_handed_out_twice_and_what_goes_beyond_the_draw_is_fresh():
    chance = drawn_at_once(64)

    pieces = [chance(size) for size in (32, 16, 12, 16, 16, 32)]

    assert [len(piece) for piece in pieces] == [32, 16, 12, 16, 16, 32]
    assert len(set(pieces)) == len(pieces)


def test_two_draws_have_nothing_in_common():
    assert drawn_at_once(32)(32) != drawn_at_once(32)(32)
