"""`Register`: reading certificates, for those who may.

* The holder reads their own certificates freely; an officer of the issuing authority leaves an
  entry the holder can see; for everybody else a certificate does not exist, a colleague without an
  office and a program included.
* Other departments ask through `exchange`, which demands purpose, legal basis and case number; the
  loaders at the end are for it and check nothing.
* A list is not a look-up: it shows persons masked and leaves no entry. Searching for somebody by
  name or code is one, and they see it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from certificates import rules
from certificates.catalogue import Catalogue, CertificateType
from certificates.catalogue.fields import invisible
from certificates.errors import CertificateNotFound, StillInForce
from certificates.identifier import as_written
from certificates.models import Certificate, Listing
from certificates.register import store
from certificates.register.fsck import RegisterFsck, RegisterReport
from certificates.register.store import name_index
from certificates.rules import State
from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.encryption import subject_of
from foundation.errors import Invalid, Refused
from foundation.paging import MAX_LIMIT, Page, decode_cursor, page_of
from ledger import Entry, Ledger

SHORTEST_QUERY, LONGEST_QUERY = 2, 200
_ADMINISTRATION = "《中华人民共和国行政许可法》第六十一条"


class Register:
    """Reading: for the holder, and for officers of the authority."""

    def __init__(
        self, database: Database, ledger: Ledger, clock: Clock, catalogue: Catalogue
    ) -> None:
        self.database = database
        self.ledger = ledger
        self.clock = clock
        self.catalogue = catalogue

    def types(self) -> Sequence[CertificateType]:
        """All certificate types."""
        return tuple(self.catalogue.values())

    def type(self, name_or_code: str) -> CertificateType:
        """One type by name or national code. Raises `UnknownType`."""
        return self.catalogue.find(name_or_code)

    def get(self, actor: Actor, identifier: str) -> Certificate:
        """One certificate, for its holder or for an officer of its authority (who leaves an entry).

        Raises `CertificateNotFound` for everybody else.
        """
        return self._look(actor, identifier, "certificate.viewed")

    def pdf(self, actor: Actor, identifier: str) -> bytes:
        """The sealed PDF, under the same rule as `get`."""
        return self.rendition(actor, identifier, "pdf")

    def rendition(self, actor: Actor, identifier: str, form: str) -> bytes:
        """A rendition ("pdf", or a format of `CREDENTIALS`), under the same rule as `get`."""
        certificate = self._look(actor, identifier, "certificate.downloaded", form)
        with self.database.read() as tx:
            data = store.rendition(tx, certificate.id, form)
        if data is None:
            raise CertificateNotFound(f"this certificate has no rendition {form[:20]!r}")
        return data

    def search(
        self,
        actor: Actor,
        query: str = "",
        *,
        state: State | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Listing]:
        """The certificates of the actor's authority: all, newest first, or those that match.

        A query is an identifier, a holder's code or exact name, or the beginning of a licence
        number, however it is typed; fewer than two characters are refused.
        """
        if not rules.holds_office(actor):
            raise Refused("this needs an office of the authority")
        limit = min(max(limit, 1), MAX_LIMIT)
        if text := _checked_query(query):
            return Page(tuple(self._matching(actor, text, limit)))
        before = decode_cursor(after, str)[0] if after else None
        with self.database.read() as tx:
            found = store.listed(
                tx, actor.organisation, before=before, state=state, limit=limit + 1
            )
        return page_of(found, limit, lambda listing: (listing.id,))

    def held_by(self, subjects: Collection[str]) -> list[Certificate]:
        """The certificates of a holder (the person and those they represent), newest first."""
        if not subjects:
            return []
        with self.database.read() as tx:
            return store.held_by(tx, subjects, MAX_LIMIT)

    def forget(self, actor: Actor, holder_kind: str, holder_code: str) -> int:
        """Forget in the ledger whom its entries about a holder were about, at the holder's request;
        answers how many. Every proof and every receipt still verifies (`Ledger.erase`).

        Raises `StillInForce` while a certificate of theirs is in force: until then the law wants to
        know who looked at it.
        """
        rules.check_role(actor, "approver")
        subject = subject_of(self.database.cipher, holder_kind, as_written(holder_code))
        now = self.clock()
        with self.database.write() as tx:
            for held in store.held_by(tx, [subject], MAX_LIMIT):
                state = rules.state_at(held.state, held.valid_from, held.valid_until, now)
                if state in (State.ACTIVE, State.SUSPENDED):
                    raise StillInForce(
                        "a certificate of this holder is in force",
                        next_step="ask again when it has ended",
                    )
            return self.ledger.erase(tx, subject, actor)

    def fsck(self) -> RegisterReport:
        """Compare the registry with the ledger and the status lists, as `RegisterFsck` says."""
        with self.database.read() as tx:
            return RegisterFsck(tx, self.catalogue).run()

    def load_many(self, tx: Tx, keys: Sequence[str]) -> Mapping[str, Certificate]:
        """Certificates by number or identifier in one query; for `exchange`, which asks the law."""
        return store.load_many(tx, keys)

    def load_by_tokens(self, tx: Tx, tokens: Sequence[str]) -> Mapping[str, Certificate]:
        """Certificates by QR token in one query; for `exchange`."""
        return store.load_by_tokens(tx, tokens)

    def by_identifier(self, identifier: str) -> Certificate | None:
        """For `exchange`, which writes the entry."""
        with self.database.read() as tx:
            return store.by_identifier(tx, identifier)

    def by_qr_token(self, token: str) -> Certificate | None:
        """For `exchange`, which writes the entry."""
        with self.database.read() as tx:
            return store.load_by_tokens(tx, [token]).get(token)

    def _look(self, actor: Actor, identifier: str, kind: str, form: str = "") -> Certificate:
        with self.database.read() as tx:
            certificate = store.by_identifier(tx, identifier)
        if certificate is None:
            raise unknown_certificate()
        if certificate.subject in actor.subjects:
            return certificate
        if not rules.holds_office(actor) or certificate.issuing_authority != actor.organisation:
            raise unknown_certificate()
        details = {"type": certificate.type} | ({"format": form} if form else {})
        entry = self._looked(
            kind,
            actor,
            certificate.subject,
            certificate=identifier,
            case_ref=certificate.number,
            disclosed=tuple(certificate.fields),
            details=details,
        )
        with self.database.write() as tx:
            self.ledger.append(tx, entry)
        return certificate

    def _matching(self, actor: Actor, text: str, limit: int) -> list[Listing]:
        """What a query finds; persons who were looked for get their entries before the answer."""
        cipher, number = self.database.cipher, as_written(text)
        kinds = sorted({kind.holder.kind for kind in self.catalogue.values()})
        subjects = [subject_of(cipher, kind, number) for kind in kinds]
        with self.database.read() as tx:
            index = name_index(cipher, text)
            of_holder = store.of_holder(tx, actor.organisation, subjects, index, limit)
            numbered = store.with_number(tx, actor.organisation, number, limit)
        people = {each.subject for each in of_holder if self._is_about_a_person(each)}
        if people:
            with self.database.write() as tx:
                for subject in sorted(people):
                    self.ledger.append(tx, self._looked("certificate.searched", actor, subject))
        found = {each.id: each for each in (*of_holder, *numbered)}
        return list(found.values())[:limit]

    def _is_about_a_person(self, listing: Listing) -> bool:
        kind = self.catalogue.get(listing.type)
        return kind is None or kind.holder.kind == "person"

    def _looked(self, kind: str, actor: Actor, subject: str, **about: Any) -> Entry:
        """The entry of an officer who looks, in the course of their office."""
        return Entry(
            kind=kind,
            actor=actor,
            at=self.clock(),
            subject=subject,
            purpose="administration",
            legal_basis=_ADMINISTRATION,
            **about,
        )


def _checked_query(query: str) -> str:
    text = query.strip()
    if text and not SHORTEST_QUERY <= len(text) <= LONGEST_QUERY:
        raise Invalid(f"type {SHORTEST_QUERY} to {LONGEST_QUERY} characters to search")
    if hidden := invisible(text):
        raise Invalid(f"the query holds characters nobody can see: {hidden}")
    return text


def unknown_certificate() -> CertificateNotFound:
    """The one error for certificates that do not exist and for those of others."""
    return CertificateNotFound(
        "there is no such certificate, or it is not yours",
        next_step="check the number, or ask the authority that issued it",
    )
