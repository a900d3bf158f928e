"""The registry of purposes: which department may ask what about which type, and on what basis.

- A purpose is a row per department, purpose code and certificate type. What it shows is a subset of
  what the type's catalogue entry allows for that code; registering more is refused, and the
  catalogue is asked again at every verification.
- Two purposes belong to everyone: "public-check" (a paper in hand) and "holder-show" (a code that
  the holder shows). They come straight from the catalogue, so they need no row.
- A legal basis is one of those the purpose was registered with, word for word: a free text that
  nobody checked would justify anything.
"""

from collections.abc import Iterable, Mapping, Sequence

from certificates.catalogue import Catalogue, CertificateType
from exchange import store
from exchange.errors import PurposeHeld, PurposeNotAllowed
from exchange.models import EVERYONE, OPEN_PURPOSES, Purpose, PurposeForm
from exchange.rules import PREDICATES
from foundation.clock import Clock, system_clock
from foundation.database import Database, Tx
from foundation.errors import FieldError

Grants = Mapping[str, Purpose]  # by certificate type


class Purposes:
    """What departments may ask. `catalogue` says what could be allowed at all."""

    def __init__(
        self, database: Database, catalogue: Catalogue, clock: Clock = system_clock
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._open = {code: _open_grants(catalogue, code) for code in OPEN_PURPOSES}
        self._known = frozenset(code for kind in catalogue.values() for code in kind.purposes)

    def register(self, tx: Tx, purpose: Purpose, application: str | None = None) -> Purpose:
        """Add one purpose, or replace it, on an approved application.

        Raises `PurposeNotAllowed`, which names every mistake, and `PurposeHeld`.
        """
        if mistakes := list(self.mistakes(purpose)):
            raise PurposeNotAllowed(
                f"{purpose.code} cannot be registered for {purpose.type}: {mistakes[0].detail}",
                next_step="choose among the fields that the certificate type shows this purpose",
                errors=mistakes,
            )
        if not store.put_purpose(tx, self._database, purpose, self._clock(), application):
            raise PurposeHeld(
                f"{purpose.organisation} holds {purpose.code} for {purpose.type} already",
                next_step="end the application that holds it first",
            )
        return purpose

    def form_of(self, organisation: str, type_name: str, code: str) -> PurposeForm:
        """The application for all that the catalogue allows of a purpose.

        Raises `PurposeNotAllowed`.
        """
        known = self._catalogue.find(type_name).purposes.get(code)
        if known is None:
            raise PurposeNotAllowed(f"{type_name} knows no purpose {code}")
        return PurposeForm(
            organisation=organisation,
            code=code,
            service_item=known.names["zh-Hans"],
            legal_bases=(known.legal_basis,),
            types=(type_name,),
            fields=tuple(known.fields),
            predicates=("valid_today",),
            channel="api",
            retention_days=180,
            quota=10_000,
        )

    def asked_for(self, form: PurposeForm, type_name: str) -> Purpose:
        """The purpose that a form asks for, for one of its types."""
        known = self._catalogue.get(type_name)
        entry = known.purposes.get(form.code) if known else None
        return Purpose(
            organisation=form.organisation,
            type=type_name,
            code=form.code,
            names=entry.names if entry else {},
            legal_bases=form.legal_bases,
            fields=form.fields,
            predicates=form.predicates,
        )

    def mistakes(self, purpose: Purpose) -> Iterable[FieldError]:
        """What the catalogue does not allow in a purpose, field by field."""
        known = self._catalogue.get(purpose.type)
        if known is None:
            yield FieldError("/type", "unknown_type", f"there is no type {purpose.type}")
            return
        allowed = known.visible(purpose.code)
        if purpose.code not in known.purposes or purpose.code in OPEN_PURPOSES:
            yield FieldError("/code", "unknown_purpose", f"the type has no {purpose.code}")
        for name in purpose.fields:
            if name not in allowed:
                yield FieldError("/fields", "field_not_allowed", f"{name} is not shown for it")
        for name in purpose.predicates:
            if name not in PREDICATES:
                yield FieldError("/predicates", "unknown_predicate", f"{name} is not known")
        if not purpose.legal_bases or not all(purpose.legal_bases):
            yield FieldError("/legal_bases", "required", "at least one legal basis is needed")
        if not purpose.organisation:
            yield FieldError("/organisation", "required", "a purpose belongs to a department")

    def grant(
        self,
        tx: Tx,
        organisation: str,
        type_name: str,
        code: str,
        *,
        fields: Sequence[str] | None = None,
        legal_bases: Sequence[str] = (),
        predicates: Sequence[str] = ("valid_today",),
    ) -> Purpose:
        """Register a purpose with the names, fields and legal basis the catalogue gives it.

        `fields` narrows what is shown; `legal_bases` adds to the catalogue's.
        """
        known = self._catalogue.find(type_name).purposes.get(code)
        if known is None:
            raise PurposeNotAllowed(f"{type_name} knows no purpose {code}")
        return self.register(
            tx,
            Purpose(
                organisation=organisation,
                type=self._catalogue.find(type_name).name,
                code=code,
                names=known.names,
                legal_bases=tuple(dict.fromkeys((known.legal_basis, *legal_bases))),
                fields=tuple(known.fields if fields is None else fields),
                predicates=tuple(predicates),
            ),
        )

    def of(self, organisation: str) -> list[Purpose]:
        """Every purpose a department may use: its own first, then everyone's."""
        with self._database.read() as tx:
            own = store.purposes_of(tx, organisation) if organisation else []
        return [*own, *(each for grants in self._open.values() for each in grants.values())]

    def load(self, tx: Tx, asked: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Grants]:
        """The grants behind distinct (organisation, purpose code) pairs, one query a department."""
        pairs = set(asked)
        registered = {pair for pair in pairs if pair[1] not in OPEN_PURPOSES}
        found: dict[tuple[str, str], dict[str, Purpose]] = {pair: {} for pair in registered}
        if registered:
            for purpose in store.purposes_by_code(tx, registered):
                found[purpose.organisation, purpose.code][purpose.type] = purpose
        return {pair: found[pair] if pair in found else self._open[pair[1]] for pair in pairs}

    def visible(self, purpose: Purpose) -> tuple[str, ...]:
        """What the catalogue allows this purpose to see today, () when the type is gone."""
        known = self._catalogue.get(purpose.type)
        return known.visible(purpose.code) if known else ()

    def knows(self, code: str) -> bool:
        """Whether the catalogue has such a purpose at all; else it is a word of the asker's own."""
        return code in self._known

    def legal_bases(self, code: str) -> frozenset[str]:
        """The legal bases that the certificate types publish for a purpose."""
        kinds = self._catalogue.values()
        return frozenset(k.purposes[code].legal_basis for k in kinds if code in k.purposes)

    def labels(self, type_name: str) -> Mapping[str, str]:
        """The names of a certificate type by language, {} when it is not known."""
        known = self._catalogue.get(type_name)
        return known.labels if known else {}


def _open_grants(catalogue: Catalogue, code: str) -> dict[str, Purpose]:
    return {
        known.name: _open_grant(known, code)
        for known in catalogue.values()
        if code in known.purposes
    }


def _open_grant(known: CertificateType, code: str) -> Purpose:
    purpose = known.purposes[code]
    return Purpose(
        organisation=EVERYONE,
        type=known.name,
        code=code,
        names=purpose.names,
        legal_bases=(purpose.legal_basis,),
        fields=tuple(purpose.fields),
        predicates=("valid_today",),
    )
