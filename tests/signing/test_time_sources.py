"""Sealing with time-stamps of an authority outside the house: on a good day and without one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import system_clock
from foundation.database import Database
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from keys.timestamping.external_time import LEFT_ALONE, ExternalTimestamps
from signing import Seals, Signing
from signing.trust.certificates import Doubt
from tests.signing.conftest import House
from tests.simulators.clock import MovableClock
from tests.simulators.tsa import TimeStampAuthority

pytestmark = pytest.mark.openssl


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TimeStampAuthority]:
    with TimeStampAuthority(tmp_path / "tsa") as running:
        yield running


@pytest.fixture
def ticks() -> list[float]:
    """Seconds, by which an authority that failed is left alone."""
    return [0.0]


@pytest.fixture
def house(
    sqlite_database: Database,
    master_key: bytes,
    authority: TimeStampAuthority,
    ticks: list[float],
) -> House:
    """A house whose settings name the outside authority; the time is the real one."""
    built = House(sqlite_database, master_key, MovableClock(system_clock().replace(microsecond=0)))
    root = x509.load_pem_x509_certificate(authority.root.read_bytes())
    outside = ExternalTimestamps(
        authority.url,
        [root.public_bytes(Encoding.DER)],
        system_clock,
        answer_within=1.0,
        monotonic=lambda: ticks[0],
    )
    built.keys = Keys(
        sqlite_database, SoftwareBackend(master_key), built.clock, time_source=outside
    )
    built.seals = Seals(
        sqlite_database, built.keys, built.clock, lambda _tx, act: built.acts.append(act)
    )
    built.signing = Signing(built.seals, built.keys, built.clock)
    return built


def test_a_seal_with_the_time_of_another_authority_is_valid(
    house: House, authority: TimeStampAuthority
) -> None:
    sealed = house.sealed(house.register())

    validation = house.signing.validate_pdf(sealed.data)

    assert (sealed.level, sealed.time_stamp_pending) == ("B-T", False)
    assert authority.asked == 1
    assert validation.indication == "valid", validation
    assert validation.check("time").result == "pass"
    assert validation.level == "B-T"


@pytest.mark.parametrize("mode", ["dead", "busy", "slow", "wrong_nonce", "stranger"])
def test_without_a_time_stamp_the_seal_says_so_and_is_completed_later(
    house: House, authority: TimeStampAuthority, ticks: list[float], mode: str
) -> None:
    seal = house.register()
    authority.mode = mode

    sealed = house.sealed(seal)
    still = house.signing.complete_pdf(sealed.data, now=house.clock())
    authority.mode = "good"
    ticks[0] += LEFT_ALONE
    completed = house.signing.complete_pdf(sealed.data, now=house.clock())

    assert (sealed.level, sealed.time_stamp_pending) == ("B-B", True)
    assert (still.data, still.time_stamp_pending) == (sealed.data, True)
    assert (completed.level, completed.time_stamp_pending) == ("B-T", False)
    assert house.signing.validate_pdf(completed.data).check("time").result == "pass"


def test_an_outside_root_vouches_for_time_and_for_no_seal(
    house: House, authority: TimeStampAuthority, tmp_path: Path
) -> None:
    signer = tmp_path / "signer.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=seal"),
            *("-CA", "tsa/known-ca.pem", "-CAkey", "tsa/known-ca.key"),
            *("-keyout", "signer.key", "-out", str(signer)),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    certificate = x509.load_pem_x509_certificate(signer.read_bytes())

    with pytest.raises(Doubt) as doubt:
        house.signing._anchors().confirm(certificate.public_bytes(Encoding.DER), (), system_clock())

    assert doubt.value.code == "authority_unknown"
