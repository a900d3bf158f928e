"""A client, a session, a request and an authorization as plain values, each sound as it stands."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from idp.models import Client, Person, Session
from idp.protocol.acr import ACR_PASSWORD
from idp.protocol.authorizations import Authorization, AuthorizationRequest, Family
from tests.idp.world import PURPOSE, REDIRECT_URI

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:43]
THUMBPRINT = "t" * 43
RESOURCE = "https://licences.example.gov.cn"
PERSON = Person("person-1", "chen", "citizen", "陈静怡", "pseudonym-1")


def a_client(**changes: Any) -> Client:
    fields = {
        "client_id": "food-office",
        "name": PURPOSE,
        "purpose": PURPOSE,
        "organisation": "x" * 18,
        "organisation_name": "X",
        "profile": "standard",
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": (REDIRECT_URI,),
        "client_uri": "https://food.example.gov.cn/start",
        "scopes": ("openid", "profile", "offline_access"),
        "claims": ("name", "preferred_username", "locale"),
        "resources": (RESOURCE, f"{RESOURCE}/other"),
        **changes,
    }
    return Client(**fields)


def a_session(**changes: Any) -> Session:
    fields = {
        "id_hash": "hash",
        "sid": "sid-1",
        "person": PERSON,
        "authenticated_at": NOW - MINUTE,
        "amr": ("pwd",),
        "acr": ACR_PASSWORD,
        "expires_at": NOW + 60 * MINUTE,
        **changes,
    }
    return Session(**fields)


def a_request(**changes: Any) -> AuthorizationRequest:
    fields = {
        "client_id": "food-office",
        "redirect_uri": REDIRECT_URI,
        "scopes": ("openid",),
        "created_at": NOW,
        "state": "state-1",
        **changes,
    }
    return AuthorizationRequest(**fields)


def an_authorization(**changes: Any) -> Authorization:
    fields = {
        "person_id": "person-1",
        "subject": "pseudonym-1",
        "sid": "sid-1",
        "scopes": ("openid", "profile"),
        "auth_time": int(NOW.timestamp()),
        "acr": ACR_PASSWORD,
        "amr": ("pwd",),
        **changes,
    }
    return Authorization(**fields)


def a_family(authorization: Authorization | None = None, **changes: Any) -> Family:
    fields = {
        "id": "family-1",
        "client_id": "food-office",
        "authorization": authorization or an_authorization(),
        "code_hash": "hash",
        "expires_at": NOW + MINUTE,
        **changes,
    }
    return Family(**fields)
