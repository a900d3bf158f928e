"""A credential format that exists in this file alone: issued, downloaded, verified by its row."""

from datetime import datetime
from typing import Any, Final

import msgspec
import orjson
import pytest
from sqlalchemy import update

from certificates.catalogue import Catalogue, CertificateType
from certificates.errors import InvalidCatalogue
from certificates.models import Certificate, certificates, renditions
from certificates.rules import State
from foundation.canonical import b64url, b64url_decode
from foundation.errors import Malformed
from keys import Keys, UnknownKey
from keys.encoding.algorithms import ALGORITHMS
from signing import CredentialRefused
from signing.formats import (
    CREDENTIALS,
    CredentialContent,
    CredentialReading,
    CredentialRecord,
    CredentialSigner,
    says_all_of,
)
from tests.exchange.conftest import House, asking

_MARK: Final = b"DUMMY "
VOUCHING: Final = ("pdf", "dummy", "cwt-qr")
BESIDE: Final = ("pdf", "dc+sd-jwt", "cwt-qr", "dummy")


class DummyCredential:
    """A mark, the key's id, what is said, and the signature of the seal's key over it."""

    name = "dummy"
    title = "Dummy"
    media_type = "application/x-dummy"
    suffix = ".dummy"
    is_code = False
    vouches = True

    def issue(self, content: CredentialContent, signer: CredentialSigner) -> bytes:
        said = {"id": content.identifier, "by": content.authority, "fields": content.fields}
        payload = orjson.dumps(said)
        signed = signer.keys.sign(
            signer.use, payload, order=signer.order, pending_uses=signer.pending_uses
        )
        parts = (signed.kid, b64url(payload), b64url(signed.value))
        return _MARK + " ".join(parts).encode()

    def recognises(self, data: bytes) -> bool:
        return data.startswith(_MARK)

    def claimed(self, data: bytes) -> CredentialReading:
        said = orjson.loads(b64url_decode(data.split()[2].decode()))
        return CredentialReading(self.name, data, said["id"])

    def read(self, data: bytes, keys: Keys, now: datetime) -> CredentialReading | None:
        try:
            kid, payload, signature = data.removeprefix(_MARK).decode().split()
            key = keys.find(kid)
            row, text = ALGORITHMS[key.algorithm], b64url_decode(payload)
            native = row.from_jose(b64url_decode(signature))
        except UnknownKey:
            return None
        except (Malformed, ValueError):
            raise CredentialRefused("malformed") from None
        if not row.verify(key.verification.public_key, native, text):
            raise CredentialRefused("signature_mismatch")
        said: dict[str, Any] = orjson.loads(text)
        return CredentialReading(
            self.name, data, said["id"], authority=said["by"], fields=said["fields"], use=key.use
        )

    def same_as(self, said: CredentialReading, record: CredentialRecord) -> bool:
        if record.credential_format == self.name:
            return said.data == record.credential.encode()
        return said.is_by_seal(record.seal_id) and says_all_of(said, record)


def with_formats(formats: tuple[str, ...]) -> Catalogue:
    known = Catalogue.load()["food-business-licence"].definition
    return Catalogue([CertificateType(msgspec.structs.replace(known, formats=formats))])


@pytest.fixture(params=[VOUCHING, BESIDE], ids=["it vouches", "another vouches"])
def types(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """The installation's catalogue: one type, in a format that the table has for this test."""
    monkeypatch.setitem(CREDENTIALS, "dummy", DummyCredential())
    return with_formats(request.param)


@pytest.fixture
def credential(house: House, licence: Certificate) -> bytes:
    """What the holder downloads."""
    return house.certificates.rendition(house.holder(licence), licence.identifier, "dummy")


def test_a_type_cannot_ask_for_a_format_without_a_row() -> None:
    with pytest.raises(InvalidCatalogue, match="formats must be among pdf, dc\\+sd-jwt, cwt-qr"):
        with_formats(VOUCHING)


def test_it_is_issued_with_the_others_and_nothing_is_missing(
    house: House, licence: Certificate, credential: bytes, types: Catalogue
) -> None:
    first = "dummy" if types["food-business-licence"].formats == VOUCHING else "dc+sd-jwt"
    own = CREDENTIALS[first]

    validation = house.signing.validate_pdf(
        house.certificates.pdf(house.holder(licence), licence.identifier)
    )

    assert credential.startswith(_MARK)
    assert licence.credential_format == first
    assert validation.attachments == {f"credential{own.suffix}": licence.credential.encode()}
    assert house.certificates.fsck().ok


def test_number_file_and_page_verify_and_end_with_the_certificate(
    house: House, licence: Certificate, credential: bytes
) -> None:
    page = house.certificates.pdf(house.holder(licence), licence.identifier)
    questions = (asking(licence.number), asking(document=credential), asking(document=page))

    assert [house.ask(question).verdict for question in questions] == ["valid"] * 3
    house.change(licence, State.REVOKED, "serious_violation")
    assert [house.ask(question).verdict for question in questions] == ["revoked"] * 3


def test_what_was_altered_is_tampered_and_what_never_was_ours_is_no_certificate(
    house: House, credential: bytes
) -> None:
    kid, payload, signature = credential.removeprefix(_MARK).decode().split()
    other = b64url(b64url_decode(payload).replace("老街".encode(), "新街".encode()))

    def verdict(*parts: str) -> str:
        return house.ask_now(asking(document=_MARK + " ".join(parts).encode())).verdict

    assert verdict(kid, other, signature) == "tampered"
    assert verdict(kid, payload, b64url(bytes(64))) == "tampered"
    assert verdict("nobody", payload, signature) == "not_a_certificate"


def test_the_copy_that_vouches_is_the_one_that_the_record_names(
    house: House, licence: Certificate, credential: bytes
) -> None:
    """Whoever writes into our tables puts another genuine credential beside a record."""
    own = licence.credential_format
    another = house.issue(organisation_code=licence.fields["organisation_code"])
    with house.database.write() as tx:
        tx.execute(
            update(renditions)
            .where(renditions.c.certificate_id == licence.id, renditions.c.format == own)
            .values(data=another.credential.encode())
        )

    verdict = house.ask(asking(licence.number))

    assert (verdict.verdict, verdict.reason) == ("tampered", "record_altered")


@pytest.mark.parametrize("named", ["cwt-qr", "pdf", "a word"])
def test_a_rendition_that_cannot_vouch_is_no_way_around_the_one_that_does(
    house: House, licence: Certificate, named: str
) -> None:
    with house.database.write() as tx:
        row = certificates.c.id == licence.id
        tx.execute(update(certificates).where(row).values(credential_format=named))

    verdict = house.ask(asking(licence.number))

    assert (verdict.verdict, verdict.reason) == ("tampered", "record_altered")
