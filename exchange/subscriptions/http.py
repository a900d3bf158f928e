"""Following certificates over HTTP.

    POST   /api/v1/subscriptions         follow one certificate                        (fast lane)
    GET    /api/v1/subscriptions         what this program follows
    GET    /api/v1/subscriptions/{id}    one of them, and what was told
    DELETE /api/v1/subscriptions/{id}    follow it no longer

What is sent to the program is described in docs/api.md, with a program that checks it.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from exchange import openapi
from exchange.http import NO_STORE, SCOPE, private, to_json
from exchange.messages import FollowedAnswer, SubscriptionAnswer
from exchange.models import ChangeNotice, Subscription
from exchange.subscriptions.service import Subscriptions
from exchange.verification.requests import read_subscription
from exchange.verification.service import Verifications
from foundation.actor import Actor
from foundation.batching import (
    HotAnswer,
    HotRequest,
    HotRoute,
    Require,
    json_answer,
    mount,
)
from foundation.clock import rfc3339

PATH = "/api/v1/subscriptions"
_TAGS = ("subscriptions",)


def hot_routes(
    subscriptions: Subscriptions, verifications: Verifications, require: Require
) -> list[HotRoute]:
    """POST: its signature covers the content, so the content is at hand before it is checked."""

    async def subscribe(request: HotRequest) -> HotAnswer:
        actor = await require.hot(request, SCOPE)
        asked, url = read_subscription(request.body)
        kept, verdict = await asyncio.to_thread(subscriptions.subscribe, actor, asked, url)
        answer: FollowedAnswer = {**shown(kept), "verdict": to_json(verifications, verdict)}
        return json_answer(answer, 201, (NO_STORE, ("location", f"{PATH}/{kept.id}")))

    return [
        HotRoute(
            "POST",
            PATH,
            subscribe,
            "follow_certificate",
            "Be told when the status of a certificate changes",
            openapi=openapi.SUBSCRIBE,
            tags=_TAGS,
        )
    ]


def router(
    subscriptions: Subscriptions, verifications: Verifications, require: Require
) -> APIRouter:
    """The ordinary lane, and the framework twin of the fast one."""
    routes = APIRouter(tags=list(_TAGS))
    mount(routes, hot_routes(subscriptions, verifications, require))
    allowed = Depends(require(SCOPE))

    @routes.get(PATH, name="list_subscriptions", summary="What you follow")
    def list_subscriptions(actor: Annotated[Actor, allowed]) -> Response:
        """The certificates this program follows, newest first."""
        return private({"items": [shown(each) for each in subscriptions.of(actor)]})

    one = f"{PATH}/{{subscription_id}}"

    @routes.get(one, name="get_subscription", summary="One subscription, and what was told")
    def get_subscription(subscription_id: str, actor: Annotated[Actor, allowed]) -> Response:
        """A subscription with its notices and what came of each."""
        found, notices = subscriptions.notices(actor, subscription_id)
        return private({**shown(found), "notices": [notice_to_json(each) for each in notices]})

    @routes.delete(one, name="end_subscription", summary="Follow it no longer", status_code=204)
    def end_subscription(subscription_id: str, actor: Annotated[Actor, allowed]) -> Response:
        """Nothing more is sent, not even what was waiting."""
        subscriptions.unsubscribe(actor, subscription_id)
        return Response(status_code=204)

    return routes


def shown(subscription: Subscription) -> SubscriptionAnswer:
    """A subscription as the body of an answer."""
    return {
        "id": subscription.id,
        "url": subscription.url,
        "type": subscription.type,
        "purpose": subscription.purpose,
        "legal_basis": subscription.legal_basis,
        "case_ref": subscription.case_ref,
        "created_at": rfc3339(subscription.created_at),
        "expires_at": rfc3339(subscription.expires_at),
    }


def notice_to_json(notice: ChangeNotice) -> dict[str, Any]:
    """A notice with its state: delivered, given_up or waiting."""
    state = "delivered" if notice.delivered_at else "given_up" if notice.given_up_at else "waiting"
    return {
        "id": notice.id,
        "occurred_at": rfc3339(notice.occurred_at),
        "state": state,
        "attempts": notice.attempts,
        "problem": notice.problem,
    }
