"""Who drives the identity provider in tests: browsers, client programs, resource servers."""

import asyncio
import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from sqlalchemy import update

from foundation.actor import SYSTEM
from foundation.database import Database
from idp import Client, Idp, Person
from idp.models import people
from idp.protocol.profiles import must_push, needs_proof
from idp.sign_in import Authenticated
from idp.token.tokens import USES
from tests.idp.proofs import Certificate, Prover
from tests.simulators.clock import MovableClock

ISSUER = "https://id.example.gov.cn"
REDIRECT_URI = "https://food.example.gov.cn/callback?from=idp"
LOGGED_OUT_URI = "https://food.example.gov.cn/bye"
PASSWORD = "correct horse battery staple"
PURPOSE = {"zh-Hans": "办理食品经营许可", "zh-Hant": "辦理食品經營許可", "en": "Food licences"}


class Http:
    """Requests to the app, one event loop a test, redirects never followed."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner) -> None:
        transport = httpx.ASGITransport(app=app)
        self.client = httpx.AsyncClient(transport=transport, base_url=ISSUER)
        self.runner = runner

    def get(self, path: str, params: Any = None, **options: Any) -> httpx.Response:
        return self.runner.run(self.client.get(path, params=params, **options))

    def post(self, path: str, form: Any = None, **options: Any) -> httpx.Response:
        return self.runner.run(self.client.post(path, data=form, **options))

    def together(self, *requests: Any) -> list[httpx.Response]:
        """Send coroutines of `self.client` at the same time."""

        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*requests)

        return self.runner.run(all_of_them())


class Browser(Http):
    """A person's browser: it keeps cookies and follows the portal's pages by hand."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner, idp: Idp, clock: MovableClock) -> None:
        super().__init__(app, runner)
        self.idp = idp
        self.clock = clock

    @property
    def id(self) -> str | None:
        return self.client.cookies.get("__Host-yz_browser")

    @property
    def session_id(self) -> str | None:
        return self.client.cookies.get("__Host-yz_session")

    @session_id.setter
    def session_id(self, value: str) -> None:
        self.client.cookies.set("__Host-yz_session", value, domain="id.example.gov.cn")

    def authorize(self, params: dict[str, str]) -> "Answer":
        return Answer(self.get("/oauth/authorize", params))

    def sign_in(self, interaction_id: str, username: str = "chen") -> Authenticated:
        self.clock.advance(timedelta(seconds=1))
        result = self.idp.authenticate(
            self.idp.interaction(interaction_id, self.id),
            {"username": username, "password": PASSWORD},
            browser=self.id,
            session_id=self.session_id,
        )
        assert isinstance(result, Authenticated)
        self.session_id = result.session_id
        return result


class Answer:
    """What the authorization endpoint answered, taken apart."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.location = response.headers.get("location", "")
        self.path = urlsplit(self.location).path
        self.params = dict(parse_qsl(urlsplit(self.location).query))

    @property
    def interaction_id(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass
class RelyingParty:
    """A client program written by hand, as its developer would after reading the standards."""

    world: "World"
    registered: Client
    secret: str
    key: Any = None
    prover: Prover | None = None
    certificate: Certificate | None = None
    verifier: str = ""
    state: str = ""

    @property
    def id(self) -> str:
        return self.registered.client_id

    @property
    def http(self) -> Http:
        return self.world.http

    def request(self, **changes: str | None) -> dict[str, str]:
        """A good authorization request; `changes` replace or (None) remove parameters."""
        self.verifier = secrets.token_urlsafe(32)
        self.state = secrets.token_urlsafe(16)
        params: dict[str, str | None] = {
            "client_id": self.id,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": "openid profile offline_access",
            "state": self.state,
            "nonce": "n-" + self.state,
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in params.items() if value is not None}

    def code(self, browser: Browser | None = None, **changes: str | None) -> str:
        """Walk Chen through sign-in and consent; answers the code that came back."""
        browser = browser or self.world.browser()
        params = self.request(**changes)
        answer = browser.authorize(self.push(params) if must_push(self.registered) else params)
        decision: Any = None
        if answer.path.startswith("/signin/"):
            decision = browser.sign_in(answer.interaction_id).next
        interaction_id = answer.interaction_id
        if decision is None and answer.path.startswith("/consent/"):
            decision = self.world.idp.resume(interaction_id, browser.session_id, browser.id)
        if type(decision).__name__ == "Consent":
            decision = self.world.idp.decide_consent(
                interaction_id, browser.session_id, True, browser=browser.id
            )
        location = decision.redirect_to if decision is not None else answer.location
        params = dict(parse_qsl(urlsplit(location).query))
        assert params["state"] == self.state, location
        assert params["iss"] == ISSUER
        return params["code"]

    def push(self, params: dict[str, str]) -> dict[str, str]:
        """Push a request; answers what the browser carries instead (RFC 9126 §4)."""
        response = self.post("/oauth/par", params)
        assert response.status_code == 201, response.text
        return {"client_id": self.id, "request_uri": response.json()["request_uri"]}

    def request_object(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A good signed request (RFC 9101); `changes` replace or (None) remove claims."""
        now = int(self.world.clock().timestamp())
        claims = {
            **self.request(),
            "iss": self.id,
            "aud": ISSUER,
            "nbf": now,
            "exp": now + 300,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": "key-1", "typ": "oauth-authz-req+jwt", **(header or {})}
        return jwt.encode(kept, self.key, "ES256", headers=headers)

    def token(self, form: dict[str, str], **options: Any) -> httpx.Response:
        """A token request with this client's own way of authenticating."""
        return self.post("/oauth/token", form, **options)

    def post(self, path: str, form: dict[str, str], **options: Any) -> httpx.Response:
        """A request of this client, with all it holds; asked for a nonce, it tries again."""
        response = self._post(path, form, **options)
        if self.prover and "dpop-nonce" in response.headers:
            self.prover.nonce = response.headers["dpop-nonce"]
            if response.status_code == 400 and response.json()["error"] == "use_dpop_nonce":
                response = self._post(path, form, **options)
        return response

    def _post(self, path: str, form: dict[str, str], **options: Any) -> httpx.Response:
        form, headers = self.authenticated(form)
        if self.prover:
            headers["dpop"] = self.prover.proof("POST", ISSUER + path)
        if self.certificate:
            headers["client-cert"] = self.certificate.header
        return self.http.post(path, form, headers=headers, **options)

    def authenticated(self, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        method = self.registered.token_endpoint_auth_method
        if method == "client_secret_basic":
            return form, {"authorization": basic(self.id, self.secret)}
        if method == "client_secret_post":
            return {**form, "client_id": self.id, "client_secret": self.secret}, {}
        if method == "private_key_jwt":
            return {**form, **self.assertion()}, {}
        return {**form, "client_id": self.id}, {}

    def assertion(self, header: dict[str, Any] | None = None, **changes: Any) -> dict[str, str]:
        now = int(self.world.clock().timestamp())
        claims = {
            "iss": self.id,
            "sub": self.id,
            "aud": ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode(kept, self.key, "ES256", headers={"kid": "key-1", **(header or {})})
        return {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": token,
        }

    def exchange(self, code: str, **changes: str | None) -> httpx.Response:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": self.verifier,
            **changes,
        }
        return self.token({name: value for name, value in form.items() if value is not None})

    def refresh(self, token: str, **more: str) -> httpx.Response:
        return self.token({"grant_type": "refresh_token", "refresh_token": token, **more})

    def tokens(self, **changes: str | None) -> dict[str, Any]:
        """A whole sign-in; answers the token response."""
        response = self.exchange(self.code(**changes))
        assert response.status_code == 200, response.text
        return response.json()

    def introspect(self, token: str) -> dict[str, Any]:
        form, headers = self.authenticated({"token": token})
        return self.http.post("/oauth/introspect", form, headers=headers).json()

    def revoke(self, token: str) -> httpx.Response:
        form, headers = self.authenticated({"token": token})
        return self.http.post("/oauth/revoke", form, headers=headers)

    def userinfo(self, access_token: str) -> httpx.Response:
        path, headers = "/oauth/userinfo", {"authorization": f"Bearer {access_token}"}
        if self.prover:
            proof = self.prover.proof("GET", ISSUER + path, access_token)
            headers = {"authorization": f"DPoP {access_token}", "dpop": proof}
        if self.certificate:
            headers["client-cert"] = self.certificate.header
        return self.http.get(path, headers=headers)


@dataclass
class World:
    app: FastAPI
    runner: asyncio.Runner
    idp: Idp
    database: Database
    clock: MovableClock
    chen: Person
    http: Http = field(init=False)

    def __post_init__(self) -> None:
        self.http = Http(self.app, self.runner)

    def sign_in(self, username: str = "chen") -> Authenticated:
        """A person signs in with the right password, without a service that asked."""
        result = self.idp.sign_in(username, PASSWORD)
        assert isinstance(result, Authenticated)
        return result

    def note(self, person: Person | None = None, **values: Any) -> None:
        """Write columns of a person's row (Chen's), as whoever keeps the register will."""
        who = (person or self.chen).id
        with self.database.write() as tx:
            tx.execute(update(people).where(people.c.id == who).values(**values))

    def browser(self) -> Browser:
        return Browser(self.app, self.runner, self.idp, self.clock)

    def client(self, client_id: str = "food-office", **changes: Any) -> RelyingParty:
        """Register a client that may do most things; `changes` are fields of `Client`."""
        fields: dict[str, Any] = {
            "client_id": client_id,
            "name": PURPOSE,
            "purpose": PURPOSE,
            "organisation": "11990000MB1A0001XX",
            "organisation_name": "示例市市场监督管理局",
            "profile": "standard",
            "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": (REDIRECT_URI,),
            "post_logout_redirect_uris": (LOGGED_OUT_URI,),
            "grant_types": ("authorization_code", "refresh_token", "client_credentials"),
            "scopes": ("openid", "profile", "offline_access", "verifications"),
            "claims": ("name", "preferred_username", "locale"),
            **changes,
        }
        key = None
        if fields.get("token_endpoint_auth_method") == "private_key_jwt" and "jwks" not in fields:
            key = ec.generate_private_key(ec.SECP256R1())
            fields["jwks"] = {"keys": [public_jwk(key, "key-1")]}
        with self.database.write() as tx:
            made = self.idp.clients.register(tx, Client(**fields), by=SYSTEM)
        prover = Prover(self.clock) if needs_proof(made.client) else None
        return RelyingParty(self, made.client, made.client_secret, key, prover)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The leaves of one kind that are waiting in the ledger."""
        from sqlalchemy import select

        from ledger.entries import read_leaf
        from ledger.models import ledger_outbox

        with self.database.read() as tx:
            leaves = tx.execute(select(ledger_outbox.c.leaf).order_by(ledger_outbox.c.entry_id))
            facts = [read_leaf(bytes(leaf)) for leaf in leaves.scalars()]
        return [each for each in facts if each["kind"] == kind]

    def verify(self, token: str, **options: Any) -> dict[str, Any]:
        """PyJWT as an independent reader of what we issue."""
        kid = jwt.get_unverified_header(token)["kid"]
        jwks = self.idp.keys.jwks(*USES.values())["keys"]
        key = jwt.PyJWK(next(jwk for jwk in jwks if jwk["kid"] == kid))
        checks = {"verify_exp": False, "verify_iat": False, "verify_aud": "audience" in options}
        return jwt.decode(token, key.key, [key.algorithm_name], options=checks, **options)


def challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def basic(client_id: str, secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def public_jwk(key: Any, kid: str, **more: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}
