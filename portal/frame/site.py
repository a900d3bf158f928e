"""What the pages need: the services below, by the names the composition root gives them.

`server.assembly.Installation` is this; it stands above the pages, which may not import it.
"""

from typing import Protocol

from certificates import Batches, Catalogue, Certificates
from exchange import Purposes, Verifications
from foundation.clock import Clock
from foundation.database import Database
from idp import Idp
from keys import Keys
from ledger import Ledger
from signing import Seals, Signing


class SiteSettings(Protocol):
    """The few settings a page depends on."""

    @property
    def mode(self) -> str:
        """`sandbox` or `production`."""
        ...

    @property
    def public_url(self) -> str:
        """The address that people type and that codes on certificates lead to."""
        ...

    @property
    def proxies(self) -> tuple[str, ...]:
        """Networks whose `X-Forwarded-For` is believed."""
        ...


class Site(Protocol):
    """The services, read only."""

    @property
    def settings(self) -> SiteSettings:
        """What the operator configured, as far as pages need it."""
        ...

    @property
    def clock(self) -> Clock:
        """Answers the present time."""
        ...

    @property
    def database(self) -> Database:
        """Where pages that open a transaction themselves open it."""
        ...

    @property
    def keys(self) -> Keys:
        """Signing keys and X.509 authorities."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Who did and who looked at what."""
        ...

    @property
    def seals(self) -> Seals:
        """The register of seals and their permits."""
        ...

    @property
    def signing(self) -> Signing:
        """Seals documents and validates sealed ones."""
        ...

    @property
    def idp(self) -> Idp:
        """Accounts, sessions, sign-in and consent."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """All certificate types."""
        ...

    @property
    def certificates(self) -> Certificates:
        """Drafts, their approval, and the register of certificates."""
        ...

    @property
    def batches(self) -> Batches:
        """Bulk issuing from a table."""
        ...

    @property
    def purposes(self) -> Purposes:
        """What departments may ask about certificates."""
        ...

    @property
    def verifications(self) -> Verifications:
        """Answers questions about certificates, and makes show codes."""
        ...
