"""mod_auth_openidc as Debian ships it, in an Apache of its own, as its README begins."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest

from tests.clients.conftest import Site
from tests.clients.programs import Citizen, end_sessions, origin, refreshes, registered, running
from tests.conftest import SYSTEM_PATH

pytestmark = pytest.mark.programs("apache2")

MODULES = Path("/usr/lib/apache2/modules")
CONFIGURATION = Template(
    """
ServerRoot "$folder"
ServerName localhost
PidFile "$folder/apache.pid"
ErrorLog /dev/stderr
LogLevel warn auth_openidc:info
Listen 127.0.0.1:$port
User www-data
Group www-data
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authn_core_module $modules/mod_authn_core.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule authz_user_module $modules/mod_authz_user.so
LoadModule dir_module $modules/mod_dir.so
LoadModule auth_openidc_module $modules/mod_auth_openidc.so
DocumentRoot "$folder/pages"

OIDCProviderMetadataURL $issuer/.well-known/openid-configuration
OIDCClientID $client_id
OIDCClientSecret $client_secret
OIDCRedirectURI $redirect_uri
OIDCCryptoPassphrase of-this-server-alone
# what the program tells its service about the person, to read it here
OIDCInfoHook userinfo access_token refresh_token id_token

<Location /inside>
  AuthType openid-connect
  Require valid-user
</Location>
<Location /callback>
  AuthType openid-connect
  Require valid-user
</Location>
"""
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Pages that Apache may read although it gives up being root."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        for name in ("", "inside"):
            page = folder / "pages" / name / "index.html"
            page.parent.mkdir(exist_ok=True)
            page.write_text(f"the page {name or 'outside'}")
        yield folder


@pytest.fixture
def apache(site: Site, folder: Path) -> Iterator[tuple[str, str]]:
    """Where Apache listens, and its client_id."""
    program = shutil.which("apache2", path=SYSTEM_PATH)
    assert program is not None
    if not (MODULES / "mod_auth_openidc.so").exists():
        pytest.skip("apt-get install libapache2-mod-auth-openidc")
    here = origin()
    known = registered(
        site,
        f"apache-{here[-5:]}",
        here,
        backchannel_logout_uri=f"{here}/callback?logout=backchannel",
        refresh_ends_with_session=False,  # it hears of sign-outs
    )
    told = {**known, "folder": folder, "port": here[-5:], "modules": MODULES}
    (folder / "apache.conf").write_text(CONFIGURATION.substitute(told))
    command = (program, "-D", "FOREGROUND", "-f", folder / "apache.conf")
    with running(command, here, folder / "log") as log:
        yield here, known["client_id"]
        print(log())


def test_mod_auth_openidc_signs_in_reads_userinfo_refreshes_and_signs_out(
    site: Site, apache: tuple[str, str]
):
    here, client_id = apache
    citizen = Citizen(site)
    info = f"{here}/callback?info=json"
    assert citizen.browser.get(f"{here}/inside/").status_code == 302

    inside = citizen.open(f"{here}/inside/")
    assert inside.text == "the page inside", inside.text
    said = citizen.browser.get(info).json()
    assert said["userinfo"]["sub"] == said["id_token"]["sub"] == site.chen.id

    asked = {"refresh": f"{here}/inside/", "access_token": said["access_token"]}
    back = citizen.browser.get(f"{here}/callback", params=asked)
    again = citizen.browser.get(info).json()
    assert back.headers["location"] == f"{here}/inside/", "no error is appended"
    assert again["access_token"] != said["access_token"]
    assert again["refresh_token"] != said["refresh_token"]
    assert refreshes(site, client_id) == 1

    home = citizen.open(f"{here}/callback?logout={here}/")
    assert (str(home.url), home.text) == (f"{here}/", "the page outside")
    assert site.house.idp.sessions.of(site.chen) == []
    assert citizen.browser.get(f"{here}/inside/").status_code == 302
    site.house.jobs.run_pending()
    assert site.house.idp.notices.unconfirmed(site.chen) == [], "it answers whoever it forgot too"


def test_mod_auth_openidc_hears_of_a_sign_out_elsewhere(site: Site, apache: tuple[str, str]):
    here, _ = apache
    citizen = Citizen(site)
    assert citizen.open(f"{here}/inside/").text == "the page inside"

    end_sessions(site)
    assert citizen.browser.get(f"{here}/inside/").text == "the page inside"
    site.house.jobs.run_pending()

    assert site.house.idp.notices.unconfirmed(site.chen) == []
    assert citizen.browser.get(f"{here}/inside/").status_code == 302
