"""The claims of ID tokens (OIDC Core §5.4, §5.5): read where tokens are about to be issued.

What is read is what the person allowed this client, as it is now, and only as long after the
sign-in as each claim may be told. Who asked for nothing costs no question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from foundation.database import Tx
from idp.models import Person
from idp.protocol.authorizations import Authorization
from idp.protocol.claims import recent_enough, values_of
from idp.store import people
from idp.token.grants.grant_type import NotRedeemed
from idp.token.tokens import Grant


def with_claims(
    tx: Tx, results: Sequence[Grant | NotRedeemed], now: datetime
) -> list[Grant | NotRedeemed]:
    """The same results, each grant with what its ID token tells about the person; one query."""
    asked = {
        result.authorization.person_id
        for result in results
        if isinstance(result, Grant) and result.authorization and _asks(result)
    }
    if not asked:
        return list(results)
    found = people.persons(tx, asked)
    return [
        replace(result, claims=_told(result.authorization, found, now))
        if isinstance(result, Grant) and result.authorization and _asks(result)
        else result
        for result in results
    ]


def _asks(grant: Grant) -> bool:
    return grant.id_token and bool(grant.authorization and grant.authorization.id_token_claims)


def _told(
    authorization: Authorization, people: Mapping[str, Person], now: datetime
) -> dict[str, Any]:
    person = people.get(authorization.person_id)
    if person is None:
        return {}
    age = now - datetime.fromtimestamp(authorization.auth_time, UTC)
    return values_of(person, recent_enough(authorization.id_token_claims, age))
