"""Tiles, paths and bundles of C2SP tlog-tiles."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import NotFound
from ledger.errors import EvidenceInvalid, ProofInvalid
from ledger.merkle import leaf_hash, merkle_root
from ledger.tiles import (
    Edge,
    TilePath,
    Tree,
    decode_bundle,
    encode_bundle,
    encode_number,
    tile_width,
)

LEAVES = [leaf_hash(str(index).encode()) for index in range(1500)]


@pytest.mark.parametrize(
    ("number", "path"),
    [(0, "000"), (7, "007"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")],
)
def test_a_tile_number_is_written_as_the_standard_says(number, path):
    assert encode_number(number) == path
    assert TilePath.parse(f"0/{path}").number == number


@given(
    level=st.one_of(st.none(), st.integers(0, 63)),
    number=st.integers(0, 10**15),
    width=st.integers(1, 256),
)
def test_a_tile_path_reads_back_as_itself(level, number, width):
    tile = TilePath(level, number, width)

    assert TilePath.parse(str(tile)) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/0",
        "0/0000",
        "00/000",
        "64/000",
        "-1/000",
        "0/x000/001",
        "0/001/002",
        "0/x001",
        "0/000.p/0",
        "0/000.p/01",
        "0/000.p/256",
        "0/000.p/999",
        "0/000.p/",
        "0/000/",
        "/0/000",
        "0/000\n",
        "0/٠٠٠",
        "0/../entries/000",
        "entries/x001/x234/067.p/1/..",
        "data/000",
        "0/" + "x999/" * 300 + "999",
    ],
)
def test_only_one_spelling_of_a_tile_exists(path):
    with pytest.raises(NotFound):
        TilePath.parse(path)


def test_the_standards_example_of_70000_entries():
    widths = {
        (level, number): tile_width(70_000, level, number)
        for level, numbers in ((0, (0, 272, 273, 274)), (1, (0, 1, 2)), (2, (0, 1)), (3, (0,)))
        for number in numbers
    }

    assert widths == {
        (0, 0): 256,
        (0, 272): 256,
        (0, 273): 112,
        (0, 274): 0,
        (1, 0): 256,
        (1, 1): 17,
        (1, 2): 0,
        (2, 0): 1,
        (2, 1): 0,
        (3, 0): 0,
    }


def test_256_entries_make_a_full_tile_and_one_hash_above():
    _, tiles = Edge().grow(LEAVES[:256])

    assert {where: len(hashes) for where, hashes in tiles.items()} == {(0, 0): 8192, (1, 0): 32}


@given(cuts=st.lists(st.integers(0, 1500), max_size=8))
def test_growing_in_any_steps_makes_the_same_tiles(cuts):
    edge, tiles = Edge(), {}
    borders = sorted({0, 1500, *cuts})
    for first, end in itertools.pairwise(borders):
        edge, changed = edge.grow(LEAVES[first:end])
        for where, hashes in changed.items():
            assert hashes.startswith(tiles.get(where, b"")), "a tile only ever gets longer"
        tiles |= changed

    at_once, all_tiles = Edge().grow(LEAVES)
    assert edge == at_once
    assert tiles == all_tiles
    assert edge.root() == merkle_root(LEAVES)


@given(size=st.integers(0, 1500))
def test_the_edge_is_found_again_in_the_stored_tiles(size):
    edge, _ = Edge().grow(LEAVES[:size])
    _, tiles = Edge().grow(LEAVES)

    def read(level, number, width):
        return tiles[level, number][: 32 * width]

    assert Edge.load(size, read) == edge
    assert Tree(size, read).root() == edge.root() == merkle_root(LEAVES[:size])


def test_growing_by_nothing_changes_nothing():
    edge, _ = Edge().grow(LEAVES[:300])

    assert edge.grow([]) == (edge, {})


@pytest.mark.parametrize("index", [-1, 10, 11])
def test_there_is_no_proof_for_an_entry_outside_the_tree(index):
    with pytest.raises(ProofInvalid):
        Tree(10, lambda *_: b"").inclusion(index)


def test_there_is_no_proof_for_a_larger_tree():
    with pytest.raises(ProofInvalid):
        Tree(10, lambda *_: b"").consistency(11)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_reads_back_as_its_entries(entries):
    assert decode_bundle(encode_bundle(entries)) == entries


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.data())
def test_a_bundle_that_is_cut_off_is_refused(entries, data):
    bundle = encode_bundle(entries)
    whole = {len(encode_bundle(entries[:count])) for count in range(len(entries) + 1)}
    end = data.draw(st.integers(1, len(bundle)).filter(lambda end: end not in whole))

    with pytest.raises(EvidenceInvalid):
        decode_bundle(bundle[:end])
