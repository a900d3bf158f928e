"""From draft to sealed certificate, and what the law may do to it afterwards."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from certificates.catalogue import read
from certificates.errors import (
    CertificateNotFound,
    ContentChanged,
    DraftNotFound,
    IllegalTransition,
    InvalidFields,
    InvalidReason,
    LayoutOverflow,
    MissingGlyph,
    NoSeal,
    NumberTaken,
    OwnDraft,
    RoleMissing,
    StillInForce,
    WrongState,
)
from certificates.issuing.rendering import Renderer
from certificates.models import certificates as table
from certificates.models import drafts
from certificates.rules import DraftState, State, state_at
from foundation.actor import ANONYMOUS, Actor, ActorKind
from foundation.encryption import subject_of
from foundation.errors import Invalid, Malformed
from server.services import assemble
from signing.formats import cwt_qr, sd_jwt_vc
from signing.service import Signing
from tests.certificates.conftest import BOTH, FOOD, LI, PERMIT, PUBLIC_URL, STRANGER, WANG

TYPE = "food-business-licence"


@pytest.fixture
def submitted(certificates):
    return certificates.submit(WANG, certificates.draft(WANG, TYPE, FOOD).id)


@pytest.fixture
def approved(certificates, submitted):
    return certificates.approve(LI, submitted.id, submitted.content_digest)


def holder_of(certificate):
    subjects = frozenset({certificate.subject})
    return Actor(ActorKind.PERSON, "holder", subjects=subjects)


# ── from draft to seal ───────────────────────────────────────────────────────────────────────


def test_a_draft_becomes_a_sealed_certificate(certificates, issued, ledger, seals, keys, clock):
    pdf = certificates.pdf(LI, issued.identifier)
    validation = Signing(seals, keys, clock).validate_pdf(pdf)

    assert validation.indication == "valid"
    assert validation.seal_id == issued.seal_id
    assert validation.attachments["credential.sd-jwt"].decode() == issued.credential
    assert issued.is_intact
    kinds = [entry.kind for entry in ledger.history(issued.identifier)]
    assert kinds.count("certificate.issued") == 1


def test_the_credential_verifies_and_says_what_was_approved(issued, keys, clock):
    verified = sd_jwt_vc.verify(
        issued.credential,
        key_for=keys.trusted(_use_of(issued)),
        now=clock(),
    )

    assert verified.claims["operator_name"] == FOOD["operator_name"]
    assert verified.claims["vct"] == f"{PUBLIC_URL}/types/{TYPE}/1"
    assert verified.claims["status"]["status_list"]["idx"] == issued.status_index


def test_the_offline_code_verifies_and_names_the_certificate(certificates, issued, keys, clock):
    code = certificates.rendition(LI, issued.identifier, "cwt-qr").decode()
    claims = cwt_qr.verify(code, key_for=cwt_qr.trusted(keys, "certificates.qr"), now=clock())

    assert claims.claims["id"] == issued.identifier
    assert claims.claims["status"] == [issued.status_list, issued.status_index]
    assert len(code) <= 528  # a version 14 symbol at error correction M


def test_an_approval_is_sealed_by_a_job(certificates, approved, jobs):
    jobs.run_pending()

    assert certificates.find_draft(WANG, approved.id).state is DraftState.SEALED
    assert certificates.issue(approved.id).number == approved.number


def test_fields_that_break_a_rule_make_no_draft(certificates, database):
    with pytest.raises(InvalidFields) as caught:
        certificates.draft(WANG, TYPE, FOOD | {"organisation_code": "1", "business_form": "x"})

    assert {error.pointer for error in caught.value.errors} == {
        "/fields/organisation_code",
        "/fields/business_form",
    }
    with database.read() as tx:
        assert tx.execute(select(drafts)).first() is None


@pytest.mark.parametrize("value", [None, 5, ["面馆"], {"a": "b"}, True])
def test_what_is_not_text_does_not_become_somebody_s_name(certificates, value):
    with pytest.raises(InvalidFields) as caught:
        certificates.draft(WANG, TYPE, FOOD | {"operator_name": value})

    assert [(e.pointer, e.code) for e in caught.value.errors] == [
        ("/fields/operator_name", "not_text")
    ]


def test_a_licence_without_end_is_written_with_the_last_day_there_is(certificates):
    draft = certificates.draft(WANG, TYPE, FOOD | {"valid_until": "9999-12-31"})
    draft = certificates.submit(WANG, draft.id)
    certificates.approve(LI, draft.id, draft.content_digest)

    issued = certificates.issue(draft.id)

    for_ever = datetime(9999, 12, 31, 12, tzinfo=UTC)
    assert state_at(issued.state, issued.valid_from, issued.valid_until, for_ever) == "active"


def test_a_citizen_cannot_draft(certificates):
    with pytest.raises(RoleMissing):
        certificates.draft(ANONYMOUS, TYPE, FOOD)


def test_a_name_no_font_can_print_is_refused_before_anybody_reviews_it(certificates):
    with pytest.raises(MissingGlyph):
        certificates.draft(WANG, TYPE, FOOD | {"operator_name": "\U000323ae饭店"})


def test_content_that_does_not_fit_the_page_is_not_submitted(certificates):
    long = dict.fromkeys(("registered_address", "business_premises"), "长" * 120)
    long |= {"operator_name": "长" * 80, "business_items": "\n".join(["热"] * 100)}
    draft = certificates.draft(WANG, TYPE, FOOD | long)

    with pytest.raises(LayoutOverflow):
        certificates.submit(WANG, draft.id)


def test_an_authority_without_a_seal_cannot_draft(certificates, seals, database, clock):
    seal = seals.for_owner(WANG.organisation)[0]
    with database.write() as tx:
        seals.suspend(tx, seal.id, by=LI, now=clock(), reason="lost")

    with pytest.raises(NoSeal):
        certificates.draft(WANG, TYPE, FOOD)


@pytest.mark.parametrize(("act", "state"), [("suspend", "suspended"), ("revoke", "revoked")])
def test_an_approved_draft_whose_seal_was_stopped_comes_back_with_the_reason(
    certificates, seals, submitted, database, clock, act, state
):
    certificates.approve(LI, submitted.id, submitted.content_digest)
    with database.write() as tx:
        getattr(seals, act)(tx, submitted.seal_id, by=LI, now=clock(), reason="lost")

    certificates.jobs.run_pending()

    returned = certificates.find_draft(WANG, submitted.id)
    assert returned.state is DraftState.RETURNED
    assert state in returned.returned_because


def test_a_draft_can_be_changed_returned_and_submitted_again(certificates, submitted):
    returned = certificates.return_(LI, submitted.id, "the address is incomplete")
    assert returned.returned_because == "the address is incomplete"
    assert returned.content_digest == ""

    changed = certificates.update(WANG, submitted.id, submitted.fields | {"operator_name": "新名"})
    again = certificates.submit(WANG, submitted.id)

    assert changed.fields["operator_name"] == "新名"
    assert again.content_digest != submitted.content_digest
    assert again.identifier == submitted.identifier


def test_a_draft_under_review_cannot_be_changed(certificates, submitted):
    with pytest.raises(WrongState):
        certificates.update(WANG, submitted.id, submitted.fields)


def test_a_discarded_draft_is_gone_and_its_number_free(certificates):
    draft = certificates.draft(WANG, TYPE, FOOD)
    certificates.discard(WANG, draft.id)

    with pytest.raises(DraftNotFound):
        certificates.find_draft(WANG, draft.id)
    certificates.draft(WANG, TYPE, FOOD | {"licence_number": draft.number})


def test_a_number_is_used_once_by_an_authority(certificates, issued):
    with pytest.raises(NumberTaken):
        certificates.draft(WANG, TYPE, FOOD | {"licence_number": issued.number})


def test_the_preview_is_a_page_and_a_picture(certificates, submitted):
    assert certificates.preview(submitted.id, LI).startswith(b"%PDF-")
    assert certificates.preview_png(submitted.id, LI).startswith(b"\x89PNG")


# ── four eyes (attack 49) ────────────────────────────────────────────────────────────────────


def test_an_officer_cannot_approve_their_own_draft(certificates):
    draft = certificates.submit(BOTH, certificates.draft(BOTH, TYPE, FOOD).id)

    with pytest.raises(OwnDraft):
        certificates.approve(BOTH, draft.id, draft.content_digest)


def test_a_drafter_without_the_office_cannot_approve(certificates, submitted):
    with pytest.raises(RoleMissing):
        certificates.approve(WANG, submitted.id, submitted.content_digest)


def test_an_officer_of_another_authority_finds_no_draft(certificates, submitted):
    with pytest.raises(DraftNotFound):
        certificates.approve(STRANGER, submitted.id, submitted.content_digest)


def test_the_database_itself_refuses_an_approval_by_the_drafter(database, submitted):
    with pytest.raises(IntegrityError), database.write() as tx:
        tx.execute(update(drafts).values(approver=submitted.drafter, state="approved"))


def test_the_database_itself_refuses_a_certificate_seen_by_one_person(database, issued):
    with pytest.raises(IntegrityError), database.write() as tx:
        tx.execute(update(table).values(approver=issued.drafter))


def test_an_approval_of_something_else_is_refused(certificates, submitted):
    with pytest.raises(ContentChanged):
        certificates.approve(LI, submitted.id, "A" * 43)


def test_fields_changed_after_approval_are_not_sealed(certificates, approved, database):
    changed = dict(approved.fields) | {"operator_name": "换掉的名称"}
    with database.write() as tx:
        tx.execute(update(drafts).values(fields=changed))

    with pytest.raises(ContentChanged):
        certificates.issue(approved.id)


def test_a_template_swapped_between_approval_and_sealing_is_refused(
    approved, database, keys, seals, ledger, jobs, clock, types, tmp_path
):
    from certificates.issuing.rendering import TEMPLATES

    for path in TEMPLATES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "standard.typ").open("a") as template:
        template.write("#place(hide[swapped])\n")
    swapped = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=PUBLIC_URL,
        ledger=ledger,
        seals=seals,
        jobs=jobs,
        catalogue=types,
        renderer=Renderer(PUBLIC_URL, tmp_path),
    ).certificates

    with pytest.raises(ContentChanged):
        swapped.issue(approved.id)
    swapped.close()


def test_a_type_changed_between_review_and_approval_is_refused(
    submitted, database, keys, ledger, clock, types, renderer, tmp_path
):
    from tests.certificates.test_catalogue import FOLDER

    source = (FOLDER / f"{TYPE}.toml").read_text()
    (tmp_path / "t.toml").write_text(source.replace("经营场所", "经营地点"))
    restarted = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=PUBLIC_URL,
        ledger=ledger,
        catalogue=types.__class__([read(tmp_path / "t.toml")]),
        renderer=renderer,
    ).certificates

    with pytest.raises(ContentChanged):
        restarted.approve(LI, submitted.id, submitted.content_digest)
    restarted.close()


def test_an_approved_draft_that_cannot_be_sealed_goes_back_with_the_reason(
    certificates, approved, database, jobs, ledger
):
    with database.write() as tx:
        tx.execute(update(drafts).values(fields=dict(approved.fields) | {"operator_name": "换"}))
    jobs.run_pending()

    draft = certificates.find_draft(WANG, approved.id)
    assert draft.state is DraftState.RETURNED
    assert "not the one that was approved" in draft.returned_because
    assert certificates.submit(WANG, draft.id).state is DraftState.SUBMITTED


def test_an_unapproved_draft_is_not_sealed(certificates, submitted):
    with pytest.raises(WrongState):
        certificates.issue(submitted.id)


# ── once and only once (attack 50) ───────────────────────────────────────────────────────────


def test_issuing_twice_gives_the_same_certificate(certificates, approved):
    assert certificates.issue(approved.id) == certificates.issue(approved.id)


def test_concurrent_issues_of_one_draft_give_one_certificate(certificates, approved, database):
    results, gate = [], threading.Barrier(4)

    def run():
        gate.wait()
        results.append(certificates.issue(approved.id).identifier)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.read() as tx:
        assert len(tx.execute(select(table.c.id)).all()) == 1
    assert results == [approved.identifier] * 4


def test_concurrent_approvals_and_returns_have_one_winner(certificates, submitted):
    outcomes, gate = [], threading.Barrier(4)

    def run(act):
        gate.wait()
        try:
            outcomes.append(act().state)
        except WrongState:
            outcomes.append("late")

    def approve():
        return certificates.approve(LI, submitted.id, submitted.content_digest)

    def give_back():
        return certificates.return_(LI, submitted.id, "no")

    threads = [threading.Thread(target=run, args=(act,)) for act in (approve, give_back) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    final = certificates.find_draft(LI, submitted.id).state
    assert len(outcomes) == 4
    assert final in {DraftState.APPROVED, DraftState.RETURNED}
    assert final in outcomes


def test_a_revoked_certificate_cannot_be_revoked_again_concurrently(certificates, issued, ledger):
    outcomes, gate = [], threading.Barrier(4)

    def run():
        gate.wait()
        try:
            certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
            outcomes.append("revoked")
        except IllegalTransition:
            outcomes.append("late")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["late", "late", "late", "revoked"]
    kinds = [entry.kind for entry in ledger.history(issued.identifier)]
    assert kinds.count("certificate.revoked") == 1


# ── legal acts ───────────────────────────────────────────────────────────────────────────────


def test_a_certificate_is_suspended_restored_and_revoked(certificates, issued):
    def act(to, reason):
        return certificates.change_state(LI, issued.identifier, to, reason).state

    assert act(State.SUSPENDED, "under_investigation") is State.SUSPENDED
    assert act(State.ACTIVE, "suspension_lifted") is State.ACTIVE
    assert act(State.REVOKED, "serious_violation") is State.REVOKED
    with pytest.raises(IllegalTransition):
        act(State.ACTIVE, "suspension_lifted")


def test_a_reason_of_another_act_is_refused(certificates, issued):
    with pytest.raises(InvalidReason, match="serious_violation"):
        certificates.change_state(LI, issued.identifier, State.REVOKED, "holder_request")


def test_only_an_approver_of_the_authority_may_act(certificates, issued):
    with pytest.raises(RoleMissing):
        certificates.change_state(WANG, issued.identifier, State.REVOKED, "serious_violation")
    with pytest.raises(CertificateNotFound):
        certificates.change_state(STRANGER, issued.identifier, State.REVOKED, "serious_violation")


def test_every_act_leaves_an_entry_with_its_law(certificates, issued, ledger, clock):
    clock.advance(timedelta(seconds=1))
    certificates.change_state(LI, issued.identifier, State.CANCELLED, "holder_request", "窗口申请")

    latest = ledger.history(issued.identifier)[0]
    assert latest.kind == "certificate.cancelled"
    assert "行政许可法" in latest.legal_basis


def test_expiry_is_computed_and_counts_from_the_day_after(issued, clock):
    last_instant = clock() + timedelta(days=365 * 6)

    assert state_at(issued.state, issued.valid_from, issued.valid_until, clock()) is State.ACTIVE
    assert (
        state_at(issued.state, issued.valid_from, issued.valid_until, last_instant) is State.EXPIRED
    )
    assert state_at(State.REVOKED, issued.valid_from, issued.valid_until, last_instant) == "revoked"


# ── who may look ─────────────────────────────────────────────────────────────────────────────


def test_an_officer_who_looks_leaves_an_entry_the_holder_sees(certificates, issued, ledger, clock):
    clock.advance(timedelta(seconds=1))
    certificates.get(LI, issued.identifier)

    entry = ledger.about([issued.subject]).items[0]
    assert entry.kind == "certificate.viewed"
    assert entry.purpose == "administration"
    assert entry.legal_basis


def test_the_holder_sees_their_own_certificate_without_an_entry(certificates, issued, ledger):
    before = len(ledger.history(issued.identifier))

    assert certificates.get(holder_of(issued), issued.identifier) == issued
    assert certificates.held_by([issued.subject]) == [issued]
    assert len(ledger.history(issued.identifier)) == before


@pytest.mark.parametrize("actor", [STRANGER, ANONYMOUS])
def test_somebody_else_s_certificate_does_not_exist(certificates, issued, actor):
    with pytest.raises(CertificateNotFound):
        certificates.get(actor, issued.identifier)
    with pytest.raises(CertificateNotFound):
        certificates.pdf(actor, issued.identifier)


def test_a_certificate_is_found_by_its_holder_s_code_name_and_number(certificates, issued):
    for query in (
        issued.identifier,
        FOOD["organisation_code"],
        FOOD["operator_name"],
        issued.number[:6],
        issued.number.lower(),
        f" {FOOD['organisation_code'].lower()} ",
        "".join(chr(ord(character) + 0xFEE0) for character in issued.number),
    ):
        found = certificates.search(LI, query).items
        assert [each.identifier for each in found] == [issued.identifier], query
    assert certificates.search(STRANGER, issued.number).items == ()
    for query in ("J", "x" * 201, "\ud800\ud800", "a\x00b"):
        with pytest.raises(Invalid):
            certificates.search(LI, query)


def test_lists_show_persons_masked(certificates):
    draft = certificates.submit(WANG, certificates.draft(WANG, "residence-permit", PERMIT).id)
    certificates.approve(LI, draft.id, draft.content_digest)
    certificates.issue(draft.id)

    assert certificates.search(LI).items[0].holder_name == "陈**"


def test_lists_are_read_page_by_page(certificates):
    for _ in range(3):
        draft = certificates.submit(WANG, certificates.draft(WANG, TYPE, FOOD).id)
        certificates.approve(LI, draft.id, draft.content_digest)
        certificates.issue(draft.id)

    first = certificates.search(LI, limit=2)
    rest = certificates.search(LI, limit=2, after=first.next)

    assert len(first.items) == 2
    assert len(rest.items) == 1
    assert rest.next is None
    with pytest.raises(Malformed):
        certificates.search(LI, after="nonsense")


def test_many_are_loaded_in_one_query_by_number_or_identifier(certificates, issued, database):
    with database.read() as tx:
        found = certificates.load_many(tx, [issued.number, issued.identifier, "unknown"])

    assert found[issued.identifier] == issued
    assert "unknown" not in found
    with database.read() as tx:
        assert certificates.load_many(tx, [issued.number])[issued.number] == issued
        assert certificates.load_by_tokens(tx, [issued.qr_token])[issued.qr_token] == issued


def test_a_number_of_two_authorities_answers_with_neither(certificates, issued, database):
    with database.write() as tx:
        row = tx.execute(select(table)).first()._asdict()
        draft = tx.execute(select(drafts)).first()._asdict()
        tx.execute(insert(drafts).values(draft | _other(draft)))
        tx.execute(
            insert(table).values(
                row
                | _other(row)
                | {"issuing_authority": STRANGER.organisation, "draft_id": "2", "status_index": 7}
            )
        )

    with database.read() as tx:
        assert certificates.load_many(tx, [issued.number]) == {}
        assert len(certificates.load_many(tx, [issued.identifier])) == 1


def test_holder_and_fields_are_not_readable_in_the_database(database, issued):
    with database.read() as tx:
        for name in ("certificates", "drafts", "renditions"):
            for row in tx.execute(text(f"SELECT * FROM {name}")):
                everything = " ".join(str(value) for value in row if not _is_rendition(value))
                assert FOOD["operator_name"] not in everything
                assert FOOD["organisation_code"] not in everything


def test_subjects_are_those_of_the_identity_room(issued, cipher):
    code = FOOD["organisation_code"]

    assert issued.subject == subject_of(cipher, "organisation", code)


def _use_of(certificate):
    return f"seal/{certificate.seal_id}"


def _other(row):
    changed = {"id": "2", "identifier": row["identifier"][:-1] + "?", "qr_token": "other"}
    if "authority" in row:
        changed["authority"] = STRANGER.organisation
    return changed


def _is_rendition(value):
    return isinstance(value, bytes | memoryview)


def test_a_holder_is_forgotten_when_nothing_of_theirs_is_in_force(certificates, issued, ledger):
    code = FOOD["organisation_code"]
    with pytest.raises(StillInForce):
        certificates.forget(LI, "organisation", code)
    certificates.change_state(LI, issued.identifier, State.CANCELLED, "holder_request")
    ledger.integrate_all()
    kept = ledger.checkpoint()

    assert certificates.forget(LI, "organisation", code.lower()) >= 4

    ledger.integrate_all()
    assert ledger.about([issued.subject]).items == ()
    assert ledger.history(issued.identifier) == []
    assert ledger.fsck([kept]).problems == ()
    assert certificates.fsck().problems == ()


def test_only_an_approver_forgets(certificates, issued):
    for nobody in (WANG, ANONYMOUS):
        with pytest.raises(RoleMissing):
            certificates.forget(nobody, "organisation", FOOD["organisation_code"])
