"""Attacks on the registry (34, 46, 49, 50, 58): reading across authorities, deceiving names, one
pair of eyes, races between processes, bulk files that would be sealed otherwise than they read."""

import csv
import io
import multiprocessing

import pytest
from sqlalchemy import select, update

from certificates.bulk.sheets import safe_cell, write_sheet
from certificates.errors import (
    BatchHasErrors,
    BatchNotFound,
    CertificateNotFound,
    ContentChanged,
    DraftNotFound,
    EncodingNotConfirmed,
    InvalidFields,
    RoleMissing,
    UnknownColumns,
)
from certificates.models import certificates as certificates_table
from certificates.models import drafts
from certificates.rules import State
from foundation.actor import ANONYMOUS, SYSTEM, Actor, ActorKind
from foundation.errors import Invalid, Refused, YinzhengError
from tests.certificates import rivals
from tests.certificates.conftest import (
    AUTHORITY,
    BOTH,
    FOOD,
    LI,
    PERMIT,
    STRANGER,
    WANG,
    batches,
    certificates,
    issued,
    jobs,
    officer,
    renderer,
    seals,
    types,
)

__all__ = ["batches", "certificates", "issued", "jobs", "renderer", "seals", "types"]  # fixtures

TYPE = "food-business-licence"
CLERK = officer("clerk")  # serves the authority, holds no office
KEEPER = officer("keeper", "keeper")  # holds an office that is not about certificates
PROGRAM = Actor(  # the authority's own system, with the scope to verify
    ActorKind.CLIENT, "system", organisation=AUTHORITY, roles=frozenset({"certificates.verify"})
)
OUTSIDERS = [STRANGER, CLERK, KEEPER, PROGRAM, ANONYMOUS, SYSTEM]


def named(actor: Actor) -> str:
    return actor.id


@pytest.mark.parametrize("outsider", OUTSIDERS, ids=named)
def test_34_a_certificate_exists_for_its_holder_and_the_officers_of_its_authority(
    certificates, issued, ledger, outsider
):
    before = len(ledger.history(issued.identifier))

    for look in (
        lambda: certificates.get(outsider, issued.identifier),
        lambda: certificates.pdf(outsider, issued.identifier),
        lambda: certificates.rendition(outsider, issued.identifier, "dc+sd-jwt"),
    ):
        with pytest.raises(CertificateNotFound) as refused:
            look()
        assert refused.value.status == 404
    with pytest.raises(CertificateNotFound) as unknown:
        certificates.get(LI, "1.2.156.3005.2.0.0.0.001.0")

    assert refused.value.detail == unknown.value.detail
    assert len(ledger.history(issued.identifier)) == before


@pytest.mark.parametrize("outsider", [CLERK, KEEPER, PROGRAM, ANONYMOUS, SYSTEM], ids=named)
def test_34_nobody_without_an_office_searches_the_register(certificates, issued, outsider):
    for query in ("", issued.number, FOOD["operator_name"]):
        with pytest.raises(Refused):
            certificates.search(outsider, query)


def test_34_an_officer_of_another_authority_finds_nothing(certificates, issued):
    for query in ("", issued.identifier, issued.number, FOOD["organisation_code"]):
        assert certificates.search(STRANGER, query).items == ()


def test_34_another_authority_s_drafts_and_batches_are_not_there(certificates, batches):
    draft = certificates.draft(WANG, TYPE, FOOD)
    batch = batches.upload(WANG, TYPE, "", batches.template_file(TYPE), "x.csv")

    for touch in (
        lambda: certificates.find_draft(STRANGER, draft.id),
        lambda: certificates.update(STRANGER, draft.id, FOOD),
        lambda: certificates.submit(STRANGER, draft.id),
        lambda: certificates.approve(STRANGER, draft.id, draft.content_digest),
        lambda: certificates.return_(STRANGER, draft.id, "because"),
        lambda: certificates.discard(STRANGER, draft.id),
        lambda: certificates.preview(draft.id, STRANGER),
        lambda: certificates.preview_png(draft.id, STRANGER),
    ):
        with pytest.raises(DraftNotFound):
            touch()
    for touch_batch in (
        lambda: batches.get(STRANGER, batch.id),
        lambda: batches.progress(STRANGER, batch.id),
        lambda: batches.progress(ANONYMOUS, batch.id),
        lambda: batches.submit(STRANGER, batch.id),
        lambda: batches.approve(STRANGER, batch.id, batch.content_digest),
        lambda: batches.return_(STRANGER, batch.id, "because"),
        lambda: batches.pause(STRANGER, batch.id),
        lambda: batches.resume(STRANGER, batch.id),
        lambda: batches.error_file(STRANGER, batch.id),
    ):
        with pytest.raises(BatchNotFound):
            touch_batch()
    assert certificates.drafts(STRANGER).items == ()
    assert batches.list(STRANGER).items == ()


def test_34_the_state_of_another_authority_s_certificate_cannot_be_changed(certificates, issued):
    with pytest.raises(CertificateNotFound):
        certificates.change_state(STRANGER, issued.identifier, State.REVOKED, "serious_violation")
    with pytest.raises(RoleMissing):
        certificates.change_state(CLERK, issued.identifier, State.REVOKED, "serious_violation")


def test_34_whoever_is_searched_for_by_name_or_number_sees_who_searched(certificates, ledger):
    draft = certificates.submit(WANG, certificates.draft(WANG, "residence-permit", PERMIT).id)
    certificates.approve(LI, draft.id, draft.content_digest)
    permit = certificates.issue(draft.id)

    certificates.search(LI, PERMIT["holder_name"])
    certificates.search(WANG, PERMIT["resident_number"].lower())
    certificates.search(WANG)
    certificates.search(WANG, permit.number[:4])

    looks = [a for a in ledger.about([permit.subject]).items if a.kind == "certificate.searched"]
    assert sorted(look.actor_name for look in looks) == ["Li", "Wang"]
    assert all(look.legal_basis for look in looks)


@pytest.mark.parametrize(
    "name",
    [
        "张\u202e国建",  # reads backwards from here
        "张\u2066国\u2069",
        "张\u200b建国",  # looks like another spelling
        "张\u3164建国",
        "张\ufe0f建国",
        "张\ue000国",  # private use: anything in anybody's font
        "张\x00国",
    ],
)
def test_46_a_name_that_deceives_the_eye_is_refused(certificates, name):
    with pytest.raises(InvalidFields) as refused:
        certificates.draft(WANG, TYPE, FOOD | {"legal_representative": name})

    [error] = refused.value.errors
    assert error.code == "invisible_character"
    assert name not in str(error)


def test_46_an_officer_s_note_cannot_deceive_either(certificates, issued):
    for note in ("见\u202e附件", "x" * 501):
        with pytest.raises(Invalid):
            certificates.change_state(
                LI, issued.identifier, State.SUSPENDED, "under_investigation", note
            )


@pytest.mark.parametrize(
    "formula",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠A1", "  =1"],
)
def test_46_no_exported_cell_is_taken_for_a_formula(formula):
    assert safe_cell(formula) == "'" + formula

    exported = write_sheet(["a", formula], [["b", formula]]).decode("utf-8-sig")

    assert f",{formula}" not in exported
    assert exported.count("'" + formula) == 2


def test_46_a_formula_in_an_upload_is_a_text_and_never_comes_back_as_one(certificates, batches):
    sheet = batches.template_file(TYPE).decode("utf-8-sig").splitlines()
    cells = sheet[1].split(",")
    cells[sheet[0].split(",").index("organisation_code")] = "\"=cmd|' /C calc'!A0\""
    data = "\r\n".join([sheet[0], ",".join(cells)]).encode()

    batch = batches.upload(WANG, TYPE, "", data, "=cmd.csv")

    assert batch.error_count
    assert "cmd" not in batches.error_file(WANG, batch.id).decode()


def test_49_no_office_lets_one_person_do_both(certificates):
    draft = certificates.submit(BOTH, certificates.draft(BOTH, TYPE, FOOD).id)

    with pytest.raises(Refused) as refused:
        certificates.approve(BOTH, draft.id, draft.content_digest)

    assert refused.value.code == "own_draft"


@pytest.fixture
def approved(certificates):
    draft = certificates.submit(WANG, certificates.draft(WANG, TYPE, FOOD).id)
    return certificates.approve(LI, draft.id, draft.content_digest)


@pytest.mark.parametrize(
    "swapped",
    [
        {"fields": {"operator_name": "换"}},
        {"identifier": "1.2.156.3005.2.11100000MB0143028R901.11990000MB1A0001XD.A.001.0"},
        {"qr_token": "somewhere-else"},
        {"authority_name": "别的机关"},
        {"content_digest": "x" * 43},
        {"approver": "somebody", "approver_name": "Somebody"},
        {"approver_name": "Somebody"},
    ],
    ids=lambda swapped: "-".join(swapped),
)
def test_49_whatever_is_swapped_between_approval_and_sealing_is_not_sealed(
    certificates, approved, database, swapped
):
    if "fields" in swapped:
        swapped = {"fields": {**approved.fields, **swapped["fields"]}}
    with database.write() as tx:
        tx.execute(update(drafts).where(drafts.c.id == approved.id).values(**swapped))

    with pytest.raises(ContentChanged):
        certificates.issue(approved.id)

    with database.read() as tx:
        assert tx.execute(select(certificates_table.c.id)).first() is None


def test_49_a_seal_swapped_between_approval_and_sealing_is_not_used(
    certificates, approved, database, seals
):
    theirs = seals.for_owner(STRANGER.organisation)[0]
    with database.write() as tx:
        tx.execute(update(drafts).values(seal_id=theirs.id))

    with pytest.raises(ContentChanged):
        certificates.issue(approved.id)


def test_49_an_approval_that_was_only_written_into_the_table_seals_nothing(
    certificates, database, clock
):
    """The attacker writes what four eyes would have written, digest and all."""
    draft = certificates.submit(WANG, certificates.draft(WANG, TYPE, FOOD).id)
    forged = {"state": "approved", "approver": LI.id, "approver_name": LI.name}
    with database.write() as tx:
        tx.execute(update(drafts).values(**forged, approved_at=clock()))

    with pytest.raises(ContentChanged) as refused:
        certificates.issue(draft.id)

    assert "ledger" in refused.value.detail


def test_49_an_approval_that_was_taken_back_seals_nothing(certificates, approved):
    certificates.return_(LI, approved.id, "noch einmal")

    with pytest.raises(YinzhengError):
        certificates.issue(approved.id)


# ── 50: between processes ────────────────────────────────────────────────────────────────────


def test_50_processes_that_issue_the_same_drafts_make_one_certificate_each(
    certificates, database, master_key, clock
):
    ids = []
    for _ in range(4):
        draft = certificates.submit(WANG, certificates.draft(WANG, TYPE, FOOD).id)
        ids.append(certificates.approve(LI, draft.id, draft.content_digest).id)

    acts = [(rivals.issue, (ids,)), (rivals.issue, (ids[::-1],)), (rivals.issue, (ids,))]
    first, second, third = rivals.at_once(acts, database.url, master_key, clock())

    assert first == second[::-1] == third
    report = certificates.fsck()
    assert (report.problems, report.certificates) == ((), 4)


def test_50_one_of_approving_and_returning_in_two_processes_wins(
    certificates, database, master_key, clock, ledger
):
    draft = certificates.submit(WANG, certificates.draft(WANG, TYPE, FOOD).id)

    acts = [
        (rivals.approve, (draft.id, draft.content_digest)),
        (rivals.return_, (draft.id,)),
    ]
    approved, returned = rivals.at_once(acts, database.url, master_key, clock())

    assert approved in {"approved", "wrong_state"}
    assert returned in {"returned", "wrong_state", "own_draft"}
    assert "wrong_state" not in {approved, returned} or approved != returned
    kinds = {each.kind for each in ledger.history(draft.identifier)}
    assert ("certificate.approved" in kinds) == (approved == "approved")
    assert ("certificate.returned" in kinds) == (returned == "returned")


def test_50_a_certificate_is_revoked_once_by_two_processes(
    certificates, issued, database, master_key, clock, ledger
):
    acts = [(rivals.revoke, (issued.identifier,))] * 2

    outcomes = rivals.at_once(acts, database.url, master_key, clock())

    assert sorted(outcomes) == ["illegal_transition", "revoked"]
    acts = [each.kind for each in ledger.history(issued.identifier)]
    assert acts.count("certificate.revoked") == 1
    assert certificates.fsck().ok


def test_50_no_process_reads_the_old_status_after_the_act_is_acknowledged(
    certificates, issued, database, master_key, clock
):
    certificates.status_lists.publish(issued.status_list)  # its key is made before anybody watches
    spawn = multiprocessing.get_context("spawn")
    revoked, heard = spawn.Event(), spawn.Queue()
    slot = (issued.status_list, issued.status_index)
    words = (database.url, master_key, clock(), slot, revoked, heard)
    watcher = spawn.Process(target=rivals.watch, args=words, daemon=True)
    watcher.start()
    assert heard.get(timeout=120) == "ready"

    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
    revoked.set()

    early, late = heard.get(timeout=120)
    watcher.join(30)
    assert 0 in early
    assert early <= {0, 1}
    assert late == 1


# ── 58: bulk files that would be sealed otherwise than they read ────────────────────────────────


def sheet_of(encoding: str = "utf-8", **cells: str) -> bytes:
    row = {"licence_number": "JY29900010000015", **FOOD, **cells}
    out = io.StringIO()
    writer = csv.DictWriter(out, list(row))
    writer.writeheader()
    writer.writerow(row)
    return out.getvalue().encode(encoding)


@pytest.mark.parametrize("column", ["状态", "licence_nummer", "许可证号", "remarks"])
def test_58_a_column_that_nobody_knows_is_never_passed_over(batches, column):
    batch = batches.upload(WANG, TYPE, "", sheet_of(**{column: "吊销"}), "x.csv")

    assert [(each.column, each.rule) for each in batch.errors] == [(column, "unknown_column")]
    with pytest.raises(UnknownColumns):
        batches.submit(WANG, batch.id)
    with pytest.raises(UnknownColumns):
        batches.submit(WANG, batch.id, waived=["another"])


@pytest.mark.parametrize("value", ["#N/A", "NULL", "张\ufffd", "#REF!", "4.40E+17"])
@pytest.mark.parametrize("column", ["operator_name", "licence_number", "organisation_code"])
def test_58_what_a_program_left_in_a_cell_is_never_sealed(batches, column, value):
    batch = batches.upload(WANG, TYPE, "", sheet_of(**{column: value}), "x.csv")

    assert [each.column for each in batch.errors] == [column]
    with pytest.raises(BatchHasErrors):
        batches.submit(WANG, batch.id)


def test_58_bytes_that_only_happen_to_be_gb18030_are_not_sealed_unseen(batches):
    latin = dict.fromkeys(("legal_representative", "registered_address"), "CALLE 1")
    latin |= dict.fromkeys(("business_premises", "business_items"), "CALLE 1")
    data = sheet_of("windows-1252", operator_name="PEÑA GROCERY", **latin)

    batch = batches.upload(WANG, TYPE, "", data, "x.csv")

    assert batch.guessed
    with pytest.raises(EncodingNotConfirmed):
        batches.submit(WANG, batch.id)
    batch = batches.submit(WANG, batch.id, encoding="gb18030")
    with pytest.raises(EncodingNotConfirmed):
        batches.approve(LI, batch.id, batch.content_digest)
    assert "PEÑA" not in str(batches.strange_rows(LI, batch.id)[0].fields)
