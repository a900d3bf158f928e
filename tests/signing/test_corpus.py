"""More than 200 mutants of a sealed PDF, each refused for its reason, and random updates."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing import Validation
from signing.foreign import examiner
from signing.foreign.examination import Examination, understood
from signing.trust.checks import Judge, worst
from signing.validation.service import validate
from tests.attacks import pdf_edits as edits
from tests.signing.conftest import House
from tests.signing.corpus import mutants


def examined_here(data: bytes) -> Examination:
    """The examiner's own function without its process: its limits are tested in attacks/."""
    return understood(examiner.examine(data))


@dataclass
class Court:
    """Judges without starting a process for each file."""

    house: House

    def __call__(self, data: bytes) -> Validation:
        signing = self.house.signing
        judge = Judge(signing._anchors(), self.house.seals.seal_at, self.house.clock())
        return validate(data, judge, examined_here)


@pytest.fixture
def court(house: House) -> Court:
    return Court(house)


def test_the_good_file_is_valid_here_too(court: Court, sealed: bytes) -> None:
    assert court(sealed).indication == "valid"


@pytest.mark.slow
def test_no_mutant_is_valid_and_each_is_refused_for_its_reason(court: Court, sealed: bytes) -> None:
    seen: Counter[str] = Counter()

    for mutant in mutants(sealed):
        found = court(mutant.data)
        decisive = worst([found.check(name) for name in ("integrity", "authority", "time", "seal")])
        assert found.indication != "valid", mutant.name
        assert decisive.code in mutant.reasons, (mutant.name, decisive)
        seen[decisive.code] += 1

    assert sum(seen.values()) > 200
    assert {"changed_after_sealing", "digest_mismatch", "signature_wrong"} <= set(seen)


OBJECTS = st.sampled_from(
    [
        b"<<>>",
        b"null",
        b"<</Type/Page/MediaBox[0 0 9 9]>>",
        b"<</Type/Annot/Subtype/FreeText/Rect[0 0 500 500]/Contents(void)/F 4>>",
        b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/ByteRange[0 1 2 3]"
        b"/Contents<00>>>",
        b"<</Type/DSS/Certs[]/CRLs[]>>",
        b"<</Length 3>>\nstream\nq Q\nendstream",
        b"[1 2 3]",
        b"(another title)",
    ]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_incremental_updates_are_never_valid(
    court: Court, sealed: bytes, data: st.DataObject
) -> None:
    """Any objects, new or old, in any number of further revisions."""
    changed = sealed
    for _revision in range(data.draw(st.integers(1, 3))):
        size, _root = edits.trailer(changed)
        numbers = st.integers(1, size + 3)
        changed = edits.updated(changed, data.draw(st.dictionaries(numbers, OBJECTS, max_size=4)))

    assert court(changed).indication != "valid"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.sampled_from(
        [
            b"/Lang(de)",
            b"/Names<<>>",
            b"/OpenAction[]",
            b"/Metadata null",
            b"/AA<<>>",
            b"/Outlines 1",
        ]
    ),
    on_page=st.booleans(),
)
def test_entries_added_to_page_or_catalog_are_never_valid(
    court: Court, sealed: bytes, entries: bytes, on_page: bool
) -> None:
    number, body = edits.first_page(sealed) if on_page else edits.catalog(sealed)

    changed = edits.updated(sealed, {number: edits.added(body, entries)})

    assert court(changed).indication != "valid"
