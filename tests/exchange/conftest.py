"""An authority that issues, two departments that ask, and a holder: all real, in one database."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from certificates.catalogue import Catalogue
from certificates.identifier import organisation_check, resident_check
from certificates.issuing.rendering import Renderer
from certificates.models import Certificate
from certificates.rules import State
from certificates.service import Certificates
from exchange import Purposes, Verdict, VerificationRequest, Verifications
from exchange.receipts.writing import to_pem
from foundation.actor import Actor, ActorKind
from foundation.database import Database
from keys import Keys
from ledger import Access, Ledger
from server.services import assemble
from signing.seals.registry import Seals
from signing.service import Signing
from tests.established import once
from tests.simulators.clock import MovableClock

PUBLIC_URL = "https://yinzheng.test"


def code(first_17: str) -> str:
    return first_17 + organisation_check(first_17)


AUTHORITY = code("11990000MB1A0001X")
FOOD_BUREAU = code("11990000MB1A00036")
BANK = code("91990000MA1B00077")

FOOD_INSPECTION = "food-inspection"
FOOD_BASIS = "《中华人民共和国食品安全法》第一百一十条"


def officer(name: str, *roles: str) -> Actor:
    return Actor(
        ActorKind.PERSON,
        name,
        name=name.title(),
        organisation=AUTHORITY,
        organisation_name="示例市市场监督管理局",
        roles=frozenset(roles),
    )


WANG = officer("wang", "drafter")
LI = officer("li", "approver")
INSPECTOR = Actor(
    ActorKind.CLIENT,
    "food-bureau-system",
    name="Food Bureau system",
    organisation=FOOD_BUREAU,
    organisation_name="示例市食品安全局",
    roles=frozenset({"certificates.verify"}),
)
BANKER = Actor(
    ActorKind.CLIENT,
    "bank-system",
    name="Bank system",
    organisation=BANK,
    organisation_name="示例银行",
    roles=frozenset({"certificates.verify"}),
)

FOOD = {
    "operator_name": "示例市老街面馆有限公司",
    "organisation_code": code("91990000MA1B00068"),
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


def asking(number: str = "", **changed: Any) -> VerificationRequest:
    """A complete and permitted question of the food bureau, with something changed."""
    reason = {
        "purpose": FOOD_INSPECTION,
        "legal_basis": FOOD_BASIS,
        "case_ref": "2026-检-0417",
    }
    return VerificationRequest(number=number, **{**reason, **changed})


@dataclass
class House:
    """The rooms that a verification needs."""

    database: Database
    keys: Keys
    ledger: Ledger
    clock: MovableClock
    catalogue: Catalogue
    seals: Seals
    signing: Signing
    certificates: Certificates
    purposes: Purposes
    verifications: Verifications
    _numbers: int = field(default=0)

    def issue(self, type_name: str = "food-business-licence", **changed: str) -> Certificate:
        """A sealed certificate, through two officers."""
        fields = {**(FOOD if type_name == "food-business-licence" else PERMIT), **changed}
        draft = self.certificates.draft(WANG, type_name, fields)
        draft = self.certificates.submit(WANG, draft.id)
        self.certificates.approve(LI, draft.id, draft.content_digest)
        return self.certificates.issue(draft.id)

    def change(self, certificate: Certificate, to: State, reason: str) -> None:
        self.certificates.change_state(LI, certificate.identifier, to, reason)

    def ask(self, request: VerificationRequest, actor: Actor = INSPECTOR) -> Verdict:
        """Through the fast lane."""
        return asyncio.run(self.verifications.verify(actor, request))

    def ask_now(self, request: VerificationRequest, actor: Actor = INSPECTOR) -> Verdict:
        """Through the synchronous twin."""
        return self.verifications.verify_now(actor, request)

    def looks(self, certificate: Certificate) -> list[Access]:
        """What the holder reads about verifications of a certificate."""
        seen = self.ledger.about([certificate.subject]).items
        looks = [access for access in seen if access.kind == "exchange.verified"]
        return [access for access in looks if access.certificate == certificate.identifier]

    def holder(self, certificate: Certificate) -> Actor:
        return Actor(
            ActorKind.PERSON, "holder", name="张建国", subjects=frozenset({certificate.subject})
        )

    def root_pem(self) -> str:
        return to_pem(self.keys.authority.certificate("root"))

    def ledger_keys(self) -> list[str]:
        return [str(key) for key in self.ledger.verifier_keys()]


@pytest.fixture(scope="session")
def types() -> Catalogue:
    return Catalogue.load()


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    return Renderer(PUBLIC_URL)


def build_house(
    database: Database,
    keys: Keys,
    ledger: Ledger,
    clock: MovableClock,
    types: Catalogue,
    renderer: Renderer,
    master_key: bytes,
) -> House:
    services = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=PUBLIC_URL,
        ledger=ledger,
        catalogue=types,
        renderer=renderer,
    )
    purposes = services.purposes

    def make() -> None:
        keys.establish()
        with database.write() as tx:
            services.seals.register(
                tx,
                owner=AUTHORITY,
                owner_name="示例市市场监督管理局",
                name="示例市市场监督管理局",
                code="9900010000000",
                by=LI,
                now=clock(),
            )
        with database.write() as tx:
            purposes.grant(tx, FOOD_BUREAU, "food-business-licence", FOOD_INSPECTION)
            purposes.grant(tx, BANK, "food-business-licence", "loan-application")

    name = "a seal and two purposes"
    once(name, make, keys=keys, database=database, clock=clock, master_key=master_key)
    return House(
        database,
        keys,
        ledger,
        clock,
        types,
        services.seals,
        services.signing,
        services.certificates,
        purposes,
        services.verifications,
    )


@pytest.fixture
def house(database, keys, ledger, clock, types, renderer, master_key) -> Iterator[House]:
    house = build_house(database, keys, ledger, clock, types, renderer, master_key)
    yield house
    assert ledger.fsck().ok
    house.verifications.close()
    house.certificates.close()


@pytest.fixture
def licence(house: House) -> Certificate:
    """A food business licence in force."""
    return house.issue()


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return asyncio.run
