"""Spring Security's OAuth 2.0 client: an application with `application.yml` and nothing else, and
one with both ways of signing out as Spring's reference shows them. Pinned in `spring/pom.xml`."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, Site
from tests.clients.programs import (
    EMAIL,
    Citizen,
    end_sessions,
    give_address,
    origin,
    refreshes,
    registered,
    running,
)

pytestmark = pytest.mark.programs("java", "mvn")

Service = Callable[..., AbstractContextManager[tuple[str, str]]]


@pytest.fixture(scope="session")
def jar(pytestconfig: pytest.Config) -> Path:
    """The application, built beside its sources' copy; Maven builds again only what has changed."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("spring-program")
    shutil.copytree(HERE / "spring", folder, dirs_exist_ok=True)
    command = ("mvn", "-B", "-q", "package")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "target" / "client.jar"


@pytest.fixture
def service(site: Site, jar: Path, tmp_path: Path) -> Service:
    """Starts the application in a Spring profile; tells where it listens and its client_id."""

    @contextmanager
    def started(profile: str = "default") -> Iterator[tuple[str, str]]:
        give_address(site)
        here = origin()
        client_id = f"spring-{here[-5:]}"
        told = f"{here}/logout/connect/back-channel/yinzheng"
        known = registered(
            site,
            client_id,
            here,
            redirect_uris=(f"{here}/login/oauth2/code/yinzheng",),
            backchannel_logout_uri=told if profile == "signing-out" else "",
        )
        environment = {
            "PORT": here[-5:],
            "ISSUER": known["issuer"],
            "CLIENT_ID": client_id,
            "CLIENT_SECRET": known["client_secret"],
            "SPRING_PROFILES_ACTIVE": profile,
        }
        command = ("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", jar)
        with running(command, here, tmp_path / "spring.log", environment) as log:
            try:
                yield here, client_id
            finally:
                print(log())

    return started


def test_spring_signs_in_reads_userinfo_and_refreshes(site: Site, service: Service):
    with service() as (here, client_id):
        citizen = Citizen(site)

        answer = citizen.open(f"{here}/inside")
        assert answer.status_code == 200, answer.text
        inside = answer.json()
        assert inside["claims"]["sub"] == inside["userinfo"]["sub"] == site.chen.id
        assert (inside["userinfo"]["name"], inside["userinfo"]["email"]) == ("陈静怡", EMAIL)

        first, second = (citizen.browser.get(f"{here}/token").json() for _ in range(2))
        assert first["access_token"] != second["access_token"]
        again = citizen.browser.get(f"{here}/inside").json()
        assert again["userinfo"]["name"] == "陈静怡"
        assert again["claims"]["at_hash"] != inside["claims"]["at_hash"], "a new ID token"
        assert refreshes(site, client_id) == 2
        end_sessions(site)


def test_spring_signs_out_here_and_hears_of_a_sign_out_elsewhere(site: Site, service: Service):
    with service("signing-out") as (here, _):
        citizen = Citizen(site)
        assert citizen.open(f"{here}/inside").status_code == 200

        home = citizen.submit(citizen.open(f"{here}/logout"))
        assert str(home.url) == f"{here}/"
        assert site.house.idp.sessions.of(site.chen) == []
        assert citizen.browser.get(f"{here}/inside").status_code == 302

        assert citizen.open(f"{here}/inside").status_code == 200
        end_sessions(site)
        assert citizen.browser.get(f"{here}/inside").status_code == 200
        site.house.jobs.run_pending()
        assert site.house.idp.notices.unconfirmed(site.chen) == []
        assert citizen.browser.get(f"{here}/inside").status_code == 302
