"""Reading and growing the log uses an index, however long it is."""

import pytest

from ledger import store
from tests.plans import must_use_an_index

QUERIES = {
    "latest checkpoint": store.head,
    "number of an entry": lambda tx: store.seq_of(tx, "a"),
    "about a subject": lambda tx: store.concerning(tx, store.by_subject("a"), "b", 50),
    "about a certificate": lambda tx: store.concerning(tx, store.by_certificate("a"), None, 50),
    "a tile": lambda tx: store.tile_hashes(tx, 0, 1),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_hot_query_scans_no_table(database, name):
    must_use_an_index(database, QUERIES[name])
