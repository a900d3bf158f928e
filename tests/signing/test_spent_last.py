"""What is spent is spent last: whatever a file, a place or an outage can make go wrong goes wrong
before the key signs, and leaves the permit as it was."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pyhanko.sign import SimpleSigner

from foundation.errors import Unavailable, YinzhengError
from keys.errors import KeyStoreUnavailable
from signing import Seal
from signing.errors import DocumentNotSealable, SealNotUsable, SelfCheckFailed
from signing.foreign import sealing as foreign_sealing
from signing.formats import SIGNATURES, SealPlace
from signing.uses import seal_under_permit
from tests.attacks.test_pdf_bombs import a_million_pages
from tests.signing import hybrids, readers
from tests.signing.conftest import KEEPER, House
from tests.signing.foreign.test_sealing import letter
from tests.signing.seals.test_permits import CLERK, PURPOSE, approve, ask
from tests.signing.validation.test_service import signed_by

HYBRIDS = [hybrids.one_section, hybrids.two_sections]


@pytest.fixture
def permit(house: House, seal: Seal) -> str:
    """Leave to use the seal once."""
    permit = ask(house, seal, quota=1)
    approve(house, permit)
    return permit


def use(
    house: House,
    seal: Seal,
    permit: str,
    data: bytes,
    form: str = "pdf",
    place: SealPlace | None = None,
) -> bytes:
    done = seal_under_permit(
        house, data, seal.id, permit, PURPOSE, SIGNATURES[form], place or SealPlace(), by=CLERK
    )
    return done.data


def spent(house: House, seal: Seal, permit: str) -> tuple[int, int]:
    """How often the permit was used, and the key of the seal."""
    with house.database.read() as tx:
        return house.seals.permits.get(tx, seal.id, permit).used, len(house.keys.uses_of(seal.use))


@pytest.mark.poppler
@pytest.mark.qpdf
@pytest.mark.parametrize("written", HYBRIDS, ids=lambda written: written.__name__)
def test_a_letter_of_an_office_program_is_sealed(
    house: House,
    seal: Seal,
    permit: str,
    saved: Callable[[bytes], Path],
    written: Callable[[], bytes],
) -> None:
    original = written()
    assert readers.qpdf(saved(original)) == ""

    data = use(house, seal, permit, original)

    found = house.signing.validate(data)
    assert found.indication == "valid"
    assert found.seal_id == seal.id
    assert spent(house, seal, permit) == (1, 1)
    assert readers.pdfsig(saved(data)) == "Signature is Valid. whole"
    assert readers.qpdf(saved(data)) == ""


@pytest.mark.parametrize("written", HYBRIDS, ids=lambda written: written.__name__)
def test_whatever_follows_the_seal_on_such_a_letter_is_a_change(
    house: House, seal: Seal, permit: str, stranger: SimpleSigner, written: Callable[[], bytes]
) -> None:
    """No two revisions of a hybrid-reference file can be compared; ours allow no second one."""
    data = use(house, seal, permit, written())

    for changed in (data + b"%", signed_by(stranger, data, strict=False, field_name="More")):
        found = house.signing.validate(changed)
        assert found.indication == "invalid"
        assert found.check("integrity").code == "changed_after_sealing"


def test_what_follows_a_stranger_s_signature_on_such_a_letter_was_not_compared(
    house: House, stranger: SimpleSigner
) -> None:
    signed = signed_by(stranger, hybrids.two_sections(), strict=False)
    assert house.signing.validate(signed).check("integrity").code == "intact"

    found = house.signing.validate(signed_by(stranger, signed, strict=False, field_name="More"))

    assert found.check("integrity").result == "unknown"
    assert found.check("integrity").code == "not_compared"
    assert [one.changes for one in found.details] == ["not_compared", "none"]


# --- nothing is spent -------------------------------------------------------------------------


def broken(stranger: SimpleSigner) -> bytes:
    """A letter whose earlier signature no longer fits it."""
    data = bytearray(signed_by(stranger, letter()))
    data[data.rindex(b"%%EOF", 0, data.index(b"/ByteRange")) - 3] ^= 1
    return bytes(data)


@pytest.mark.slow
def test_a_file_that_takes_no_seal_costs_nothing(
    house: House, seal: Seal, permit: str, stranger: SimpleSigner
) -> None:
    certified = signed_by(stranger, letter(), certify=True)

    for data in (b"hello", certified, broken(stranger), a_million_pages()):
        with pytest.raises(DocumentNotSealable):
            use(house, seal, permit, data)
    for place in (SealPlace(page=7), SealPlace(box=(590.0, 10.0, 100.0))):
        with pytest.raises(DocumentNotSealable):
            use(house, seal, permit, letter(), place=place)

    assert spent(house, seal, permit) == (0, 0)
    use(house, seal, permit, letter())
    assert spent(house, seal, permit) == (1, 1)


def test_a_file_that_would_not_be_read_back_is_refused_before_the_key_signs(
    house: House,
    seal: Seal,
    permit: str,
    stranger: SimpleSigner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The preparer takes this file; only who reads the result finds that it cannot be."""
    monkeypatch.setattr(house.keys, "sign", lambda *_arguments, **_more: pytest.fail("signed"))

    with pytest.raises(DocumentNotSealable) as refused:
        use(house, seal, permit, broken(stranger))

    assert refused.value.reason == "altered"
    assert spent(house, seal, permit) == (0, 0)


@pytest.mark.parametrize("form", list(SIGNATURES))
def test_a_key_that_is_silent_costs_no_permit(
    house: House, seal: Seal, permit: str, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    def silent(*_arguments: object, **_more: object) -> bytes:
        raise KeyStoreUnavailable("the module does not answer", retry_after=5)

    with monkeypatch.context() as outage:
        outage.setattr(house.keys, "sign", silent)
        with pytest.raises(Unavailable):
            use(house, seal, permit, letter(), form)

    assert spent(house, seal, permit) == (0, 0)
    use(house, seal, permit, letter(), form)
    assert spent(house, seal, permit) == (1, 1)


def test_a_signature_of_another_key_never_leaves(
    house: House, seal: Seal, permit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = house.register(code="3501000054321")
    honest = house.signing._signer
    monkeypatch.setattr(house.signing, "_signer", lambda _seal, *more: honest(other, *more))

    with pytest.raises(SelfCheckFailed):
        use(house, seal, permit, letter())

    assert spent(house, seal, permit) == (0, 0)


@pytest.mark.parametrize("form", list(SIGNATURES))
def test_a_seal_that_is_suspended_costs_no_permit(
    house: House, seal: Seal, permit: str, form: str
) -> None:
    house.clock.advance(timedelta(minutes=1))
    with house.database.write() as tx:
        house.seals.suspend(tx, seal.id, by=KEEPER, now=house.clock(), reason="audit")

    with pytest.raises(SealNotUsable):
        use(house, seal, permit, letter(), form)

    assert spent(house, seal, permit) == (0, 0)


def test_a_permit_that_ended_while_the_file_was_sealed_lets_nothing_leave(
    house: House, seal: Seal, permit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealing = house.signing.seal_file

    def slow(*arguments: object, **more: object) -> object:
        sealed = sealing(*arguments, **more)
        with house.database.write() as tx:
            house.seals.permits.withdraw(tx, permit, by=KEEPER, now=house.clock())
        return sealed

    monkeypatch.setattr(house.signing, "seal_file", slow)

    with pytest.raises(YinzhengError, match="over"):
        use(house, seal, permit, letter())

    assert spent(house, seal, permit) == (0, 0)


def test_a_seal_that_no_reader_would_find_is_refused() -> None:
    with pytest.raises(DocumentNotSealable) as refused:
        foreign_sealing._rehearse(letter())

    assert refused.value.reason == "unreadable"
