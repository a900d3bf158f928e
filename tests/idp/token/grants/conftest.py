"""Grant types on a database of their own, without endpoints."""

import pytest

from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Ledger
from server.services import assemble
from tests.idp.world import ISSUER


@pytest.fixture
def grant_type(sqlite_database, master_key, clock):
    """Makes a grant type as the token endpoint does."""
    keys = Keys(sqlite_database, SoftwareBackend(master_key), clock)
    ledger = Ledger(sqlite_database, keys, clock, "yinzheng.test/log")
    services = assemble(
        database=sqlite_database, keys=keys, clock=clock, issuer=ISSUER, ledger=ledger
    )
    idp = services.idp
    yield lambda kind, **more: kind(sqlite_database, idp.tokens, idp.clients, **more)
    idp.close()
    ledger.close()
