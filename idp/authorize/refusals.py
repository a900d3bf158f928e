"""What the ledger keeps of a request that was refused in somebody's browser."""

from datetime import datetime

from foundation.actor import ANONYMOUS
from idp.authorize.rules import RequestRefused
from idp.models import Client, Person
from ledger import Entry


def refusal(
    client: Client | None, refused: RequestRefused, at: datetime, person: Person | None = None
) -> Entry:
    """The ledger entry of a refusal at the authorization or logout endpoint."""
    return Entry(
        kind="idp.authorization_refused",
        actor=client.actor if client else ANONYMOUS,
        at=at,
        subject=person.subject if person else "",
        verdict=refused.error,
        private={"rule": refused.description},
    )
