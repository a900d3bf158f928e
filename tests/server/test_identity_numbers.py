"""The upgrade from a house whose identity numbers had no index, on both databases."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from alembic import command
from sqlalchemy import insert, select

from foundation.actor import SYSTEM
from foundation.database import Database
from foundation.encryption import subject_of
from idp.accounts.numbers import number_index
from idp.models import idp_sessions, people, revocations, token_families
from idp.protocol.authorizations import Authorization
from ledger.models import ledger_outbox
from server import migrations
from server.assembly import open_database, open_master_key, opened
from server.settings import Settings

LIN, XU = "990001198506120010", "11010519491231002X"
MADE = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime.now(UTC)
# user name, kind, number as it was typed, minutes after the first one
BEFORE = (
    ("younger", "citizen", LIN, 9),
    ("oldest", "citizen", LIN, 1),
    ("spelt", "citizen", "９９０００１ 19850612 0010", 5),
    ("xu", "citizen", XU.lower(), 3),
    ("office", "officer", XU, 4),
    ("nobody", "citizen", None, 2),
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    for name in [name for name in os.environ if name.startswith("YINZHENG_")]:
        monkeypatch.delenv(name)
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("cluster").url(f"numbers_{tmp_path.name[-8:]}")
    return Settings(data_dir=tmp_path, database_url=url)


@pytest.fixture
def before(settings: Settings) -> Iterator[Database]:
    """At the first schema, with people whose numbers collide and who are all signed in."""
    database = open_database(settings, open_master_key(settings))
    config = migrations.configuration()
    with database.write() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0001")
    with database.write() as tx:
        for username, kind, number, minutes in BEFORE:
            person = _person(database, username, kind, number, MADE + timedelta(minutes=minutes))
            tx.execute(insert(people).values(**person))
            tx.execute(insert(idp_sessions).values(**_session(username)))
            tx.execute(insert(token_families).values(**_family(username)))
    yield database
    database.close()


def _person(database: Database, username: str, kind: str, number: str | None, at: datetime):
    return {
        "id": f"p_{username}",
        "username": username,
        "kind": kind,
        "name": username,
        "id_number": number,
        "subject": subject_of(database.cipher, "person", number or username),
        "represents": [],
        "organisation": "11990000MB1A0001XD" if kind == "officer" else "",
        "organisation_name": "",
        "roles": [],
        "locale": "en",
        "created_at": at,
    }


def _session(username: str):
    return {
        "id_hash": f"hash-{username}",
        "sid": f"sid-{username}",
        "person_id": f"p_{username}",
        "authenticated_at": NOW,
        "amr": ["pwd"],
        "acr": "",
        "expires_at": NOW + timedelta(hours=8),
    }


def _family(username: str):
    """Tokens that work offline, so that they outlive the session."""
    authorization = Authorization(
        person_id=f"p_{username}",
        subject="",
        sid=f"sid-{username}",
        scopes=("openid", "offline_access"),
        auth_time=0,
        acr="",
        amr=(),
    )
    return {
        "id": f"family-{username}",
        "client_id": "client",
        "person_id": f"p_{username}",
        "sid": f"sid-{username}",
        "authorization": msgspec.json.encode(authorization).decode(),
        "code_hash": "",
        "redirect_uri": "",
        "code_challenge": "",
        "issued_at": NOW,
        "refresh_number": 1,
        "expires_at": NOW + timedelta(days=30),
    }


def test_a_house_of_before_gives_each_number_to_its_oldest_account(
    before: Database, settings: Settings
) -> None:
    migrations.upgrade(before)

    with opened(settings) as house:
        them = {person.username: person for person in house.idp.people.all()}
        collisions = house.idp.numbers.collisions()

    assert {name for name, each in them.items() if each.disabled} == {"younger", "spelt", "office"}
    assert [(each.username, kept.username) for each, kept in collisions] == [
        ("spelt", "oldest"),
        ("younger", "oldest"),
        ("office", "xu"),
    ]
    assert (them["oldest"].id_number, them["xu"].id_number) == (LIN, XU)
    assert len({each.subject for each in them.values()}) == len(BEFORE)
    assert them["oldest"].subject == subject_of(before.cipher, "person", LIN)
    assert them["xu"].subject == subject_of(before.cipher, "person", XU)


def test_who_was_suspended_is_signed_out_everywhere_and_nobody_else_is(
    before: Database, settings: Settings
) -> None:
    migrations.upgrade(before)

    with opened(settings):
        pass

    with before.read() as tx:
        signed_in = set(tx.execute(select(idp_sessions.c.person_id)).scalars())
        alive = select(token_families.c.person_id).where(token_families.c.revoked_at.is_(None))
        assert set(tx.execute(alive).scalars()) == signed_in == {"p_oldest", "p_xu", "p_nobody"}
        assert set(tx.execute(select(revocations.c.id)).scalars()) == {
            "family-younger",
            "family-spelt",
            "family-office",
        }
        entries = b"".join(tx.execute(select(ledger_outbox.c.leaf)).scalars())
    assert entries.count(b'"idp.person_suspended"') == 3
    assert entries.count(b'"idp.session_ended"') == 3


def test_an_upgrade_that_was_stopped_between_schema_and_numbers_goes_on(
    before: Database, settings: Settings
) -> None:
    """And so does one during which an older program added people."""
    migrations.upgrade(before)
    with opened(settings):
        pass
    late = _person(before, "late", "citizen", LIN, MADE)  # the oldest of them all
    with before.write() as tx:
        tx.execute(insert(people).values(**late))

    for _ in range(2):
        with opened(settings) as house:
            kept = {each.username for _, each in house.idp.numbers.collisions()}

    assert kept == {"late", "xu"}
    with before.read() as tx:
        index = number_index(before.cipher, LIN)
        holder = select(people.c.username).where(people.c.id_number_index == index)
        assert tx.execute(holder).scalars().all() == ["late"]


def test_a_house_of_before_compares_user_names_anew_and_says_which_collide(
    before: Database, settings: Settings
) -> None:
    with before.write() as tx:
        for minutes, name in ((6, "ｘｕ"), (7, "ｌｉ"), (8, "ＺＨＡＯ".casefold())):
            person = _person(before, name, "citizen", None, MADE + timedelta(minutes=minutes))
            tx.execute(insert(people).values(**person))
    migrations.upgrade(before)

    with opened(settings) as house:
        found = house.idp.people.find("Ｌi"), house.idp.people.find("zhao")
        collisions = house.idp.names.collisions()
        house.idp.names.rename("ｘｕ", "xu.2", by=SYSTEM)
        left = house.idp.names.collisions()

    assert [each.username for each in found if each] == ["ｌｉ", "ｚｈａｏ"]
    assert [(each.username, kept.username) for each, kept in collisions] == [("ｘｕ", "xu")]
    assert left == []
