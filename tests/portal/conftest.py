"""A whole house with the sandbox people in it, and browsers to walk through it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from server.assembly import Installation, opened
from server.sandbox import seeds
from server.settings import Settings
from tests.portal.surfer import Page, Surfer

ORIGIN = "http://localhost:8000"


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The embedded default with its background work running; shared, so nobody counts rows."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("YINZHENG_")]:
            patch.delenv(name)
        settings = Settings(data_dir=tmp_path_factory.mktemp("house"), public_url=ORIGIN)
    with opened(settings) as house:
        seeds.seed(house)
        worker = house.worker()
        worker.start()
        yield house
        worker.stop()


@pytest.fixture(scope="session")
def app(house: Installation):
    return house.app()


Browse = Callable[..., Surfer]


@pytest.fixture
def browse(app) -> Iterator[Browse]:
    """Opens browsers: `browse()` is nobody, `browse("chen")` has signed in."""
    opened_here: list[Surfer] = []

    def browser(username: str = "", language: str = "en") -> Surfer:
        surfer = Surfer(app, ORIGIN, language)
        opened_here.append(surfer)
        if username:
            sign_in(surfer, username)
        return surfer

    yield browser
    for surfer in opened_here:
        surfer.close()


def sign_in(surfer: Surfer, username: str, password: str = seeds.PASSWORD) -> Page:
    page = surfer.send(surfer.get("/signin"), "/signin", username=username, password=password)
    assert page.status == 200, page.text
    return page


@dataclass(frozen=True)
class Licence:
    """A certificate that was issued for a test."""

    identifier: str
    number: str


@pytest.fixture
def permit(house: Installation) -> Licence:
    """A residence permit of Chen, drafted by Zhao and approved by Sun."""
    return issue(house, "zhao", "sun", "residence-permit", permit_fields())


def issue(
    house: Installation, drafter: str, approver: str, kind: str, fields: dict[str, str]
) -> Licence:
    """Through the services, as two different officers would."""
    first, second = (house.idp.people.find(name) for name in (drafter, approver))
    assert first
    assert second
    draft = house.certificates.draft(first.actor, kind, fields)
    draft = house.certificates.submit(first.actor, draft.id)
    house.certificates.approve(second.actor, draft.id, draft.content_digest)
    made = house.certificates.issue(draft.id)  # what the worker would do in a moment
    return Licence(made.identifier, made.number)


def permit_fields(**changes: str) -> dict[str, str]:
    """What Chen's residence permit says; the register gives it its number."""
    return {
        "holder_name": seeds.CHEN.name,
        "sex": "female",
        "ethnic_group": "汉",
        "birth_date": "1990-03-07",
        "resident_number": seeds.CHEN.id_number,
        "registered_address": "示例省邻市海滨路8号",
        "residence_address": "示例市平江路17号3幢201室",
    } | changes
