"""An order as the floors above write it, for tests that change one thing about it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from keys.policy import SigningAuthorization


def order(now: datetime, **changed: Any) -> SigningAuthorization:
    good = SigningAuthorization(
        document="Zm9vZCBsaWNlbmNl",
        approval="draft-1",
        drafter="wang",
        approver="li",
        approved_at=now - timedelta(minutes=5),
        actor="li",
        signed_at=now,
        purpose="food-business-licence",
    )
    return replace(good, **changed)
