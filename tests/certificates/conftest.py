"""A small public office: an authority with a seal, two officers, and the certificate room."""

from collections.abc import Iterator

import pytest

from certificates.bulk.batches import Batches
from certificates.catalogue import Catalogue
from certificates.identifier import organisation_check, resident_check
from certificates.issuing.rendering import Renderer
from certificates.service import Certificates
from foundation.actor import Actor, ActorKind
from foundation.jobs import open_jobs
from server.services import assemble
from tests.established import once

PUBLIC_URL = "https://yinzheng.test"
AUTHORITY = "11990000MB1A0001X" + organisation_check("11990000MB1A0001X")
OTHER = "11990000MB1A00028" + organisation_check("11990000MB1A00028")


def officer(name: str, *roles: str, organisation: str = AUTHORITY) -> Actor:
    return Actor(
        ActorKind.PERSON,
        name,
        name=name.title(),
        organisation=organisation,
        organisation_name="示例市市场监督管理局",
        roles=frozenset(roles),
    )


WANG = officer("wang", "drafter")
LI = officer("li", "approver")
BOTH = officer("both", "drafter", "approver")
STRANGER = officer("stranger", "drafter", "approver", organisation=OTHER)

FOOD = {
    "operator_name": "示例市老街面馆有限公司",
    "organisation_code": "91990000MA1B00068" + organisation_check("91990000MA1B00068"),
    "legal_representative": "张建国",
    "registered_address": "示例市姑苏区观前街141号",
    "business_premises": "示例市姑苏区太监弄72号",
    "business_form": "catering",
    "business_items": "热食类食品制售；冷食类食品制售",
}
PERMIT = {
    "holder_name": "陈静怡",
    "sex": "female",
    "ethnic_group": "汉",
    "birth_date": "1990-03-07",
    "resident_number": "99000119900307002" + resident_check("99000119900307002"),
    "registered_address": "示例省邻市海滨路8号",
    "residence_address": "示例市平江路17号3幢201室",
}


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    return Renderer(PUBLIC_URL)


@pytest.fixture(scope="session")
def types() -> Catalogue:
    return Catalogue.load()


@pytest.fixture
def jobs(database, clock):
    return open_jobs(database, clock)


@pytest.fixture
def seals(database, keys, ledger, clock, master_key):
    services = assemble(database=database, keys=keys, clock=clock, issuer=PUBLIC_URL, ledger=ledger)
    registry = services.seals

    def make() -> None:
        keys.establish()
        with database.write() as tx:
            for number, owner in enumerate((AUTHORITY, OTHER)):
                registry.register(
                    tx,
                    owner=owner,
                    owner_name="示例市市场监督管理局",
                    name="示例市市场监督管理局",
                    code=f"990001000000{number}",
                    by=LI,
                    now=clock(),
                )

    once("two seals", make, keys=keys, database=database, clock=clock, master_key=master_key)
    return registry


@pytest.fixture
def certificates(
    database, keys, seals, ledger, jobs, clock, types, renderer
) -> Iterator[Certificates]:
    room = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=PUBLIC_URL,
        ledger=ledger,
        seals=seals,
        jobs=jobs,
        catalogue=types,
        renderer=renderer,
    ).certificates
    yield room
    room.close()


@pytest.fixture
def batches(certificates) -> Batches:
    return Batches(certificates)


@pytest.fixture
def issued(certificates):
    """A sealed food business licence."""
    draft = certificates.submit(WANG, certificates.draft(WANG, "food-business-licence", FOOD).id)
    certificates.approve(LI, draft.id, draft.content_digest)
    return certificates.issue(draft.id)
