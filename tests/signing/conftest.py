"""A registered seal over real keys, and a page sealed with it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.sign import SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from foundation.actor import Actor, ActorKind
from foundation.database import Database
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.algorithms import algorithm
from signing import Approval, Seal, SealAct, SealedDocument, Seals, Signing
from tests.established import once
from tests.signing.pages import page
from tests.simulators.clock import MovableClock

OWNER = "11350100003605137H"
KEEPER = Actor(
    ActorKind.PERSON,
    "keeper-1",
    name="印章管理员",
    organisation=OWNER,
    roles=frozenset({"keeper"}),
)
APPROVER = replace(KEEPER, id="approver-1", name="审批人", roles=frozenset({"approver"}))
NAME = "临江市市场监督管理局"
BOX = (400.0, 150.0, 119.0)


class House:
    """Seals and signing over one database, as the composition root would put them together."""

    def __init__(
        self, database: Database, master_key: bytes, clock: MovableClock, *, own: bool = True
    ) -> None:
        """With `own` authorities, or those of every other house that has not."""
        self.database = database
        self.clock = clock
        self.keys = Keys(database, SoftwareBackend(master_key), clock)
        if own:
            self.keys.establish()
        else:
            once(
                "authorities",
                self.keys.establish,
                keys=self.keys,
                database=database,
                clock=clock,
                master_key=master_key,
            )
        self.acts: list[SealAct] = []
        self.seals = Seals(database, self.keys, clock, lambda _tx, act: self.acts.append(act))
        self.signing = Signing(self.seals, self.keys, clock)

    def register(self, name: str = NAME, code: str = "3501000012345", **more: str) -> Seal:
        with self.database.write() as tx:
            return self.seals.register(
                tx,
                owner=OWNER,
                owner_name=name,
                name=name,
                code=code,
                by=KEEPER,
                now=self.clock(),
                **more,
            )

    def approval(self, content_digest: str = "content") -> Approval:
        earlier = self.clock() - timedelta(minutes=5)
        return Approval(content_digest, "drafter-1", "approver-1", earlier)

    def sign(self, seal: Seal, message: bytes) -> bytes:
        """A signature by a seal's key in CMS form, ordered as sealing orders it."""
        order = self.approval().order(self.clock())
        signature = self.keys.sign(seal.use, message, order=order)
        return algorithm(signature.algorithm).from_jose(signature.value)

    def sealed(self, seal: Seal, pdf: bytes | None = None, **more: object) -> SealedDocument:
        return self.signing.seal_pdf(
            seal,
            page() if pdf is None else pdf,
            self.approval(),
            content_digest="content",
            now=self.clock(),
            **{"box": BOX, **more},
        )


@pytest.fixture
def house(sqlite_database: Database, master_key: bytes, clock: MovableClock) -> House:
    return House(sqlite_database, master_key, clock, own=False)


@pytest.fixture
def house_on_each_database(database: Database, master_key: bytes, clock: MovableClock) -> House:
    return House(database, master_key, clock, own=False)


@pytest.fixture
def seal(house: House) -> Seal:
    return house.register()


@pytest.fixture
def sealed(house: House, seal: Seal) -> bytes:
    return house.sealed(seal).data


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[bytes], Path]:
    """Put bytes into a file for an outside program."""

    def save(data: bytes) -> Path:
        path = tmp_path / "document.pdf"
        path.write_bytes(data)
        return path

    return save


@pytest.fixture(scope="session")
def stranger() -> SimpleSigner:
    """Somebody with a key and a certificate of their own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "陌生人")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
        .add_extension(
            x509.KeyUsage(True, True, False, False, False, False, False, False, False), True
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SimpleSigner(
        signing_cert=asn1_x509.Certificate.load(
            certificate.public_bytes(serialization.Encoding.DER)
        ),
        signing_key=asn1_keys.PrivateKeyInfo.load(private),
        cert_registry=SimpleCertificateStore(),
    )
