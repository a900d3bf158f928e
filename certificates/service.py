"""`Certificates`: everything that can be done with certificates, by the parts that do it.

    draft → submit → approve (`Drafts`) → issue (`Sealing`) → change_state (`StatusChanges`)
    who may read what (`Register`)

* One method is one transaction and one ledger entry.
* A certificate of another authority does not exist for an officer: 404, whatever was asked.
"""

from certificates.catalogue import Catalogue
from certificates.issuing.completing import Completion
from certificates.issuing.drafts import Drafts
from certificates.issuing.making import CertificateMaker
from certificates.issuing.rendering import Renderer
from certificates.issuing.sealing import Sealing
from certificates.register.changes import StatusChanges
from certificates.register.service import Register
from certificates.register.status import StatusLists
from foundation.clock import Clock
from foundation.database import Database
from foundation.jobs import Jobs
from keys import Keys
from ledger import Ledger
from signing import Signing


class Certificates:
    """The registry of certificates of all authorities served by this installation.

    register   who may read what            drafts    draft → submit → approve, by two people
    sealing    from approved to sealed      changes   what the law does to a certificate
    issuer     makes all renditions         completion, status_lists   afterwards

    The acts of the first four are reached by their own names, too. `specimen`: nothing here is
    real, and every certificate says so (a sandbox).
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        signing: Signing,
        ledger: Ledger,
        jobs: Jobs,
        clock: Clock,
        catalogue: Catalogue,
        public_url: str,
        *,
        renderer: Renderer | None = None,
        specimen: bool = False,
    ) -> None:
        self.database = database
        self.keys = keys
        self.ledger = ledger
        self.jobs = jobs
        self.clock = clock
        self.catalogue = catalogue
        self.public_url = public_url
        self.specimen = specimen
        self.seals = signing.seals
        self.renderer = renderer or Renderer(public_url, specimen=specimen)
        self.status_lists = StatusLists(database, keys, clock, public_url)
        self.maker = CertificateMaker(
            database.cipher, keys, signing, ledger, self.renderer, public_url
        )
        self.completion = Completion(database, signing, jobs, clock)
        self.register = Register(database, ledger, clock, catalogue)
        self.drafting = Drafts(database, ledger, clock, catalogue, self.seals, self.renderer, jobs)
        self.sealing = Sealing(
            database,
            ledger,
            clock,
            catalogue,
            self.seals,
            self.drafting,
            self.maker,
            self.completion,
            jobs,
        )
        self.changes = StatusChanges(database, ledger, clock)
        self.followers = self.changes.followers
        self._name_acts()

    def _name_acts(self) -> None:
        """Whoever has the registry says what they want, and need not know which part does it."""
        register, drafting, sealing, changes = (
            self.register,
            self.drafting,
            self.sealing,
            self.changes,
        )
        # reading
        self.types, self.type = register.types, register.type
        self.get, self.pdf, self.rendition = register.get, register.pdf, register.rendition
        self.search, self.held_by = register.search, register.held_by
        self.forget, self.fsck = register.forget, register.fsck
        # for `exchange`, which asks the law and writes the entry
        self.load_many, self.load_by_tokens = register.load_many, register.load_by_tokens
        self.by_identifier, self.by_qr_token = register.by_identifier, register.by_qr_token
        # to an approval
        self.draft, self.update, self.discard = drafting.draft, drafting.update, drafting.discard
        self.submit, self.return_, self.approve = (
            drafting.submit,
            drafting.return_,
            drafting.approve,
        )
        self.find_draft, self.drafts = drafting.find_draft, drafting.drafts
        self.preview, self.preview_png = drafting.preview, drafting.preview_png
        self.content, self.usable_seal = drafting.content, drafting.usable_seal
        # from an approval on
        self.issue, self.trouble = sealing.issue, sealing.trouble
        self.change_state = changes.change_state
        self.settle_statuses = changes.settle_statuses

    def close(self) -> None:
        """Close the status lists; nothing may be asked afterwards."""
        self.status_lists.close()
