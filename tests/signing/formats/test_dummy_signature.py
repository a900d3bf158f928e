"""A signature format that exists in this file alone: the table is all that a new one touches."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from keys.encoding.algorithms import ALGORITHMS
from signing import Seal, SealedDocument, Validation, commands
from signing.foreign.examination import Examination
from signing.formats import SIGNATURES, SealingTask, SealPlace, judged
from signing.trust.certificates import Doubt, public_key
from signing.trust.checks import Judge, Signed
from signing.uses import seal_under_permit
from tests.signing.conftest import House
from tests.signing.seals.test_permits import CLERK, PURPOSE, approve, ask

_MARK: Final = b"%DUMMY "


class DummySignature:
    """A first line with the certificates and the signature, as base64, and nothing else."""

    name = "dummy"
    media_type = "application/x-dummy"
    suffix = ".dummy"
    beside = True

    def recognises(self, data: bytes, *, beside: bool) -> bool:
        return beside and data.startswith(_MARK)

    def seal(self, data: bytes, task: SealingTask) -> SealedDocument:
        parts = [*task.chain, task.algorithm.encode(), task.sign(data)]
        return task.done(_MARK + b" ".join(map(base64.b64encode, parts)), "B-B")

    def verify(
        self,
        data: bytes,
        signature: bytes | None,
        judge: Judge,
        examine: Callable[[bytes], Examination],
    ) -> Validation:
        return judged(self.name, judge, lambda: self._signed(data, signature or b""))

    def _signed(self, data: bytes, signature: bytes) -> Signed:
        parts = map(base64.b64decode, signature.removeprefix(_MARK).split())
        certificate, *embedded, algorithm, value = parts
        row = ALGORITHMS[algorithm.decode()]
        if not row.verify(public_key(certificate), value, data):
            raise Doubt("digest_mismatch", "the file is not the file that was signed")
        return Signed(certificate, tuple(embedded), None)


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> DummySignature:
    """The row of the table, for one test."""
    row = DummySignature()
    monkeypatch.setitem(SIGNATURES, row.name, row)
    return row


@pytest.fixture
def permit(house: House, seal: Seal) -> str:
    permit = ask(house, seal, quota=1)
    approve(house, permit)
    return permit


def test_a_new_format_seals_under_a_permit_and_is_recognised(
    house: House, seal: Seal, permit: str, dummy: DummySignature
) -> None:
    done = seal_under_permit(
        house, b"minutes", seal.id, permit, PURPOSE, dummy, SealPlace(), by=CLERK
    )

    found = house.signing.validate(b"minutes", done.data)
    assert (found.format, found.seal_id) == ("dummy", seal.id)
    assert {found.check(name).result for name in ("integrity", "seal", "authority")} == {"pass"}
    assert found.check("time").code == "time_only_claimed"
    altered = house.signing.validate(b"minutes!", done.data)
    assert (altered.indication, altered.check("integrity").code) == ("invalid", "digest_mismatch")
    with house.database.read() as tx:
        assert house.seals.permits.get(tx, seal.id, permit).used == 1


def test_without_its_row_it_is_just_a_signature_that_nobody_can_read(
    house: House, seal: Seal
) -> None:
    found = house.signing.validate(b"minutes", _MARK + b"AAAA")

    assert (found.format, found.indication) == ("cms", "invalid")


def test_the_command_line_offers_and_validates_it(
    house: House, seal: Seal, permit: str, dummy: DummySignature, tmp_path: Path
) -> None:
    file, beside = tmp_path / "minutes.txt", tmp_path / "minutes.txt.dummy"
    file.write_bytes(b"minutes")

    @contextmanager
    def opened() -> Iterator[House]:
        yield house

    app = commands.build(opened)
    options = {"seal": seal.id, "permit": permit, "purpose": PURPOSE, "output": str(beside)}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    unknown = CliRunner().invoke(app, ["seal", str(file), *arguments, "--form=other"])
    sealed = CliRunner().invoke(app, ["seal", str(file), *arguments, "--form=dummy"])
    asked = ["validate", str(file), f"--signature={beside}", "--json"]
    report = CliRunner().invoke(app, asked)

    assert unknown.exit_code == 2
    assert "'dummy'" in unknown.output
    assert sealed.exit_code == 0, sealed.output
    assert json.loads(report.stdout)["format"] == "dummy"
