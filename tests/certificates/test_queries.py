"""The hot queries use an index on both databases, so their cost does not grow with the registry."""

import pytest

from certificates.bulk.store import counts, failures, latest, page, waiting
from certificates.register import acts, status_store, store
from certificates.register.status import _Bits, _catch_up, _draw
from tests.certificates.conftest import LI
from tests.plans import must_use_an_index, statements

QUERIES = {
    "by number": lambda tx: store.load_many(tx, ["JY1"]),
    "by identifier": lambda tx: store.load_many(tx, ["1.2.156.3005.2.x"]),
    "by both": lambda tx: store.load_many(tx, ["JY1", "1.2.156.3005.2.x"]),
    "by token": lambda tx: store.load_by_tokens(tx, ["a", "b"]),
    "by id": lambda tx: store.load_by_ids(tx, ["a", "b"]),
    "lock": lambda tx: store.lock(tx, "1.2.156.3005.2.x"),
    "acts in the log": lambda tx: acts.in_log(tx, ["1.2.156.3005.2.x"]),
    "by draft": lambda tx: store.by_draft(tx, "a"),
    "held by": lambda tx: store.held_by(tx, ["a"], 50),
    "listed": lambda tx: store.listed(tx, "a", before="b", state=None, limit=50),
    "with number": lambda tx: store.with_number(tx, "a", "JY1", 50),
    "of holder": lambda tx: store.of_holder(tx, "a", ["s"], "n", 50),
    "numbers taken": lambda tx: store.taken_numbers(tx, "a", ["JY1", "JY2"]),
    "number in use": lambda tx: store.number_in_use(tx, "a", "JY1"),
    "rendition": lambda tx: store.rendition(tx, "a", "pdf"),
    "free slots": lambda tx: _draw(tx, 1, 1),
    "list version": lambda tx: status_store.versions(tx, [1]),
    "list changes": lambda tx: _catch_up(tx, 1, _Bits()),
    "drafts": lambda tx: store.drafts_of(tx, "a", state=None, before="b", limit=50),
    "rows waiting": lambda tx: waiting(tx, "a", 2),
    "progress": lambda tx: counts(tx, "a"),
    "latest rows": lambda tx: latest(tx, "a"),
    "failed rows": lambda tx: failures(tx, "a"),
    "batches": lambda tx: page(tx, "a", "b", 50),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_hot_query_scans_no_table(database, name):
    must_use_an_index(database, QUERIES[name])


def test_many_certificates_are_one_query(database):
    keys = [f"JY{number}" for number in range(200)]

    assert len(statements(database, lambda tx: store.load_many(tx, keys))) == 1


def test_a_page_of_the_registry_is_one_query(certificates, database, issued):
    assert len(statements(database, lambda _: certificates.search(LI, limit=50))) == 1
