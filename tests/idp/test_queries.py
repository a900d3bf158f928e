"""What the token endpoint asks uses an index, however many clients and tokens there are."""

import pytest

from idp.store import clients, families, numbers, people
from idp.store.attempts import Attempts
from tests.idp.world import PASSWORD, World
from tests.plans import everything, must_use_an_index, plan, statements

QUERIES = {
    "clients": lambda tx: clients.client_rows(tx, ["a", "b", "c"]),
    "people": lambda tx: people.persons(tx, ["a"]),
    "a number": lambda tx: numbers.by_number(tx, "a"),
    "codes": lambda tx: families.codes(tx, ["a", "b"]),
    "families": lambda tx: families.families(tx, ["a"]),
    "families that refresh": lambda tx: families.families(tx, ["a", "b"], lock=True),
    "revocations": lambda tx: families.revoked(tx, ["a", "b"]),
    "families of a session": lambda tx: families.live_families(tx, sid="a"),
    "families of a consent": lambda tx: families.live_families(tx, client_id="a", person_id="b"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_hot_query_scans_no_table(database, name):
    must_use_an_index(database, QUERIES[name])


def test_whether_a_number_waits_is_a_look_into_an_index_that_is_empty(database):
    [(statement, parameters)] = statements(database, lambda tx: numbers.unsettled(tx, 1))

    told = plan(database, statement, parameters)
    assert "ix_people_unsettled" in told
    assert "TEMP B-TREE" not in told


def test_what_a_password_stands_on_is_read_by_keys(database, clock):
    look = Attempts(database).look
    [(statement, parameters)] = statements(
        database, lambda tx: look(tx, "chen", "food-office", "cookie", clock())
    )

    told = plan(database, statement, parameters)
    for table in ("people", "sign_in_attempts", "consents", "idp_sessions"):
        assert f"Seq Scan on {table}" not in told
        assert f"SCAN {table}" not in told


def test_any_number_of_refresh_tokens_is_one_query(database):
    ids = [f"{number:036x}" for number in range(200)]

    assert len(statements(database, lambda tx: families.families(tx, ids, lock=True))) == 1


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_a_sign_in_is_a_look_and_one_short_transaction(world: World, password):
    """One question before the slow hash; after it the counter, the session, the entry."""
    said = everything(world.database, lambda: world.idp.sign_in("chen", password))

    begun = [each.split()[0] for each in said]
    assert begun[0] == "SELECT"
    assert begun.count("SELECT") == 1
    assert len(said) <= 8
