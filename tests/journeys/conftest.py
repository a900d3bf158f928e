"""One served house for each database, shared by the journeys: starting one takes two seconds."""

import secrets
from collections.abc import Iterator

import pytest

from server.sandbox.demo import Story
from tests.simulators.office import Office, open_office


@pytest.fixture(scope="session", params=["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def office(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    """A house that serves, with the sandbox people, on each database."""
    folder = tmp_path_factory.mktemp(request.param)
    url = (
        request.getfixturevalue("cluster").url(f"journeys_{secrets.token_hex(4)}")
        if request.param == "pg"
        else ""
    )
    with open_office(folder, url) as office:
        yield office


@pytest.fixture(scope="session")
def story(office: Office) -> Iterator[Story]:
    """Chen signed in, a licence sealed, verified, looked at, revoked: every step went well."""
    story = Story(office.origin, office.new_secret, office.fsck)
    for _, step in story.steps():
        assert step()
    yield story
    story.close()
