"""What the ledger keeps of the authorization endpoint: refusals, and what people agreed to."""

from datetime import datetime

from foundation.actor import ANONYMOUS
from idp.authorize.rules import RequestRefused
from idp.models import Client, Person
from idp.protocol.authorizations import Agreement
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


def consent(client: Client, person: Person, agreement: Agreement, at: datetime) -> Entry:
    """The ledger entry of a person's answer to a client."""
    return Entry(
        kind="idp.consent_granted",
        actor=person.actor,
        at=at,
        subject=person.subject,
        purpose=client.purpose["zh-Hans"],
        verdict="granted",
        disclosed=tuple(sorted(agreement.claims)),
        details={"client_id": client.client_id, "scope": " ".join(sorted(agreement.scopes))},
    )
