"""What the pages need of the house: the rooms below, by the names the composition root gives them.

`server.assembly.House` is this; it lives one floor up, so the pages may not import it.
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
    def mode(self) -> str: ...
    @property
    def public_url(self) -> str: ...
    @property
    def proxies(self) -> tuple[str, ...]: ...


class Site(Protocol):
    """The rooms, read only."""

    @property
    def settings(self) -> SiteSettings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def database(self) -> Database: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def seals(self) -> Seals: ...
    @property
    def signing(self) -> Signing: ...
    @property
    def idp(self) -> Idp: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def certificates(self) -> Certificates: ...
    @property
    def batches(self) -> Batches: ...
    @property
    def purposes(self) -> Purposes: ...
    @property
    def verifications(self) -> Verifications: ...
