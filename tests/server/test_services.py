"""The packages are put together in one place, for whoever asks."""

import ast
from pathlib import Path

from certificates import Certificates
from exchange import Subscriptions, Verifications
from foundation.outbound import Outbound
from idp import Idp
from server.services import Services, assemble

ROOT = Path(__file__).parents[2]
SERVICES = {each.__name__ for each in (Certificates, Idp, Subscriptions, Verifications, Services)}
PROGRAMS = (
    *("foundation", "keys", "ledger", "signing", "idp", "certificates", "exchange", "portal"),
    *("server", "bench", "tests"),
)


def test_what_is_given_is_used(sqlite_database, keys, clock, ledger):
    outbound = Outbound()

    services = assemble(
        database=sqlite_database,
        keys=keys,
        clock=clock,
        issuer="https://yinzheng.test",
        ledger=ledger,
        outbound=outbound,
    )

    assert services.ledger is ledger
    assert services.outbound is outbound
    assert services.idp.jobs is services.jobs


def test_nothing_is_built_before_it_is_asked_for(sqlite_database, keys, clock):
    services = assemble(
        database=sqlite_database, keys=keys, clock=clock, issuer="https://yinzheng.test"
    )

    assert services.signing.seals is services.seals
    assert {"signing", "seals", "ledger"} <= vars(services).keys()
    assert not {"idp", "certificates", "renderer"} & vars(services).keys()


def test_a_working_process_builds_everything(sqlite_database, keys, clock):
    keys.establish()
    services = assemble(
        database=sqlite_database, keys=keys, clock=clock, issuer="https://yinzheng.test"
    )

    services.build()

    assert services.certificates.followers == [services.subscriptions.announce]
    assert services.ledger.origin == "yinzheng.test/ledger"
    services.close()


def test_no_other_place_puts_the_packages_together():
    made = {
        (str(file.relative_to(ROOT)), node.func.id)
        for package in PROGRAMS
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in SERVICES
    }

    assert made == {("server/services.py", name) for name in SERVICES}
