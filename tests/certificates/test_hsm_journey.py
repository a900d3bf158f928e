"""The whole sealing journey with every private key inside a PKCS#11 module (SoftHSM).

Draft, approve, seal, verify with our reader and with other people's, renew, revoke, destroy.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from foundation.clock import system_clock
from foundation.database import Database
from keys import Keys
from keys.custody.backends.selection import open_backend
from keys.encoding.jose import verify_compact
from keys.errors import NoActiveKey
from keys.models import keys as stored_keys
from tests.certificates.conftest import LI, PUBLIC_URL, WANG
from tests.certificates.sealing_office import Office
from tests.keys.softhsm import Token, the_token

pytestmark = pytest.mark.softhsm


@pytest.fixture
def token() -> Token:
    return the_token()


@pytest.fixture
def office(database: Database, token: Token, renderer: object) -> Iterator[Office]:
    keys = Keys(database, open_backend(token.uri(), bytes(32)), system_clock, PUBLIC_URL)
    built = Office(database, keys, renderer)
    yield built
    built.close()


def test_a_licence_is_drafted_approved_sealed_and_verified_by_a_module(
    office: Office, database: Database
) -> None:
    certificate = office.certificates.issue(office.approved())

    validation = office.signing.validate_pdf(office.pdf())
    credential = office.certificates.rendition(LI, certificate.identifier, "dc+sd-jwt").decode()
    verified = verify_compact(
        credential.partition("~")[0], typ="dc+sd-jwt", key_for=office.keys.trusted(office.seal.use)
    )
    with database.read() as tx:
        stores = set(tx.execute(select(stored_keys.c.backend)).scalars())

    assert validation.indication == "valid"
    assert (validation.level, validation.seal_id) == ("B-LT", office.seal.id)
    assert verified.claims["identifier"] == certificate.identifier
    assert stores == {"pkcs11"}, "not one private key is outside"
    uses = [use for _, use in office.keys.uses_of(office.seal.use)]
    assert {(use.drafter, use.approver) for use in uses} == {("wang", "li")}
    assert len(uses) == 2


@pytest.mark.poppler
def test_poppler_finds_the_signature_of_a_module_valid(office: Office, tmp_path: Path) -> None:
    office.certificates.issue(office.approved())
    file = tmp_path / "licence.pdf"
    file.write_bytes(office.pdf())

    told = subprocess.run(["pdfsig", "-nocert", str(file)], capture_output=True, text=True).stdout

    assert "Signature is Valid." in told, told
    assert "Total document signed" in told


def test_a_seal_in_a_module_is_renewed_revoked_and_destroyed_there(
    office: Office, token: Token
) -> None:
    office.certificates.issue(office.approved())
    old, seal_id = office.pdf(), office.seal.id
    keeper = LI
    with office.database.write() as tx:
        renewed = office.seals.renew(
            tx, seal_id, by=WANG, approved_by=keeper, now=system_clock(), algorithm="PS256"
        )
    assert in_module(token, office.seal.use) == 1
    assert in_module(token, renewed.use) == 1
    with office.database.write() as tx:
        office.seals.revoke(tx, seal_id, by=keeper, now=system_clock(), reason="reorganised")
        office.seals.destroy(tx, seal_id, by=keeper, now=system_clock(), reason="law")

    assert in_module(token, office.seal.use) == in_module(token, renewed.use) == 0
    with pytest.raises(NoActiveKey):
        office.keys.active(renewed.use)
    assert office.signing.validate_pdf(old).check("integrity").result == "pass"


def in_module(token: Token, use: str) -> int:
    """How many private keys of a use the token holds, asked without our code."""
    import pkcs11

    module = pkcs11.lib(token.module)
    with module.get_token(token_label=token.label).open() as session:
        found = session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
        labels = [each[pkcs11.Attribute.LABEL].split(" ")[1] for each in found]
    return labels.count(use)
