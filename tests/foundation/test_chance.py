"""Random bytes for many values at once."""

from foundation.chance import random_pool


def test_no_byte_is_handed_out_twice_and_what_goes_beyond_the_draw_is_fresh():
    chance = random_pool(64)

    pieces = [chance(size) for size in (32, 16, 12, 16, 16, 32)]

    assert [len(piece) for piece in pieces] == [32, 16, 12, 16, 16, 32]
    assert len(set(pieces)) == len(pieces)


def test_two_draws_have_nothing_in_common():
    assert random_pool(32)(32) != random_pool(32)(32)
