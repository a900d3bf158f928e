"""Two providers with the same clients: ours, and panva's oidc-provider. Each as facts to ask by."""

import base64
import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import quote_plus

import httpx
import jwt

from foundation.actor import SYSTEM
from foundation.ids import uuid7
from idp.clients.metadata import Bounds
from idp.protocol.authorizations import Authorization, Family
from idp.store.digests import sha256
from idp.store.families import StoredCode, add_code
from idp.token.grants.authorization_code import challenge_of, new_code
from tests.clients.conftest import HERE, PURPOSE, REDIRECT_URI, Site, key_pair

NATIVE_URI = "http://127.0.0.1/callback"
LOGGED_OUT_URI = "https://food.example.gov.cn/bye"
SCOPE = "openid profile offline_access"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Mint(Protocol):
    """Makes what a person would have allowed, without the person."""

    def __call__(self, what: str, client: str) -> str: ...


@dataclass
class Side:
    """One provider. `secrets` are by client_id; `jwk` is the private key of the client "jwt"."""

    name: str
    metadata: dict[str, Any]
    secrets: dict[str, str]
    jwk: dict[str, Any]
    verifier: str
    mint: Mint
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=20))

    @property
    def issuer(self) -> str:
        return str(self.metadata["issuer"])

    @property
    def challenge(self) -> str:
        return challenge_of(self.verifier)

    def basic(self, client: str, secret: str | None = None) -> dict[str, str]:
        pair = f"{quote_plus(client)}:{quote_plus(secret or self.secrets.get(client, 'x'))}"
        return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def assertion(self, **changes: Any) -> list[tuple[str, str]]:
        now = int(time.time())
        claims = {
            "iss": "jwt",
            "sub": "jwt",
            "aud": self.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        key = jwt.PyJWK(self.jwk, "ES256").key
        token = jwt.encode(kept, key, "ES256", headers={"kid": self.jwk["kid"]})
        return [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", token)]

    def own_token(self, client: str = "basic") -> str:
        """A client's own access token."""
        form = {"grant_type": "client_credentials", "scope": "records"}
        answer = self.http.post(
            self.metadata["token_endpoint"], data=form, headers=self.basic(client)
        )
        return str(answer.json()["access_token"])


@contextmanager
def ours(site: Site) -> Iterator[Side]:
    """The house, with the differential's clients registered."""
    private, public = key_pair("sig-1")
    more = {"scopes": (*SCOPE.split(), "records"), "post_logout_redirect_uris": (LOGGED_OUT_URI,)}
    known = {
        "basic": site.client("basic", **more)["client_secret"],
        "other": site.client("other", **more)["client_secret"],
        # Core alone: the profile of programs that send neither PKCE nor nonce.
        "core": site.client("core", profile="basic", **more)["client_secret"],
        "post": site.client("post", token_endpoint_auth_method="client_secret_post", **more)[
            "client_secret"
        ],
    }
    keyed = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public]}}
    site.client("jwt", **keyed, **more)
    open_client = {"profile": "public", "token_endpoint_auth_method": "none"}
    grants = ("authorization_code", "refresh_token")
    site.client("public", grant_types=grants, **open_client, **more)
    loopback = {"application_type": "native", "redirect_uris": (NATIVE_URI,)}
    site.client("native", grant_types=grants, **{**open_client, **more, **loopback})
    site.client("device", grant_types=(DEVICE,), redirect_uris=(), **open_client)
    verifier = secrets.token_urlsafe(32)
    found = httpx.get(f"{site.issuer}/.well-known/openid-configuration", trust_env=False).json()
    yield Side("ours", found, known, private, verifier, _our_mint(site, verifier, known))


def _our_mint(site: Site, verifier: str, known: dict[str, str]) -> Mint:
    def code(client: str) -> str:
        now = site.house.clock()
        name = uuid7(now)
        made = new_code(name)
        authorization = Authorization(
            person_id=site.chen.id,
            subject=site.chen.subject,
            sid=secrets.token_urlsafe(16),
            scopes=tuple(SCOPE.split()),
            auth_time=int(now.timestamp()),
            acr="urn:yinzheng:acr:1",
            amr=("pwd",),
        )
        until = now + timedelta(seconds=60)
        family = Family(name, client, authorization, sha256(made), until)
        with site.house.database.write() as tx:
            add_code(tx, StoredCode(family, REDIRECT_URI, challenge_of(verifier)))
        return made

    def mint(what: str, client: str) -> str:
        if what == "initial":
            bounds = Bounds(
                organisation="11990000MB1A0001XX",
                organisation_name="示例市市场监督管理局",
                purpose=PURPOSE,
                scopes=tuple(SCOPE.split()),
                claims=("name", "preferred_username", "locale"),
            )
            return site.house.idp.registrations.allow(bounds, by=SYSTEM)
        if what == "codes":
            return code(client)
        form = {
            "grant_type": "authorization_code",
            "code": code(client),
            "redirect_uri": REDIRECT_URI,
            "code_verifier": verifier,
        }
        secret = (client, known[client])
        answer = httpx.post(f"{site.issuer}/oauth/token", data=form, auth=secret, trust_env=False)
        return str(answer.json()["refresh_token" if what == "refresh" else "access_token"])

    return mint


@contextmanager
def rival() -> Iterator[Side]:
    """oidc-provider under Node."""
    private, public = key_pair("sig-1")
    with subprocess.Popen(
        ("node", "rival.mjs"),
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as node:
        assert node.stdin is not None
        assert node.stdout is not None
        told = {"jwk": public, "redirect_uri": REDIRECT_URI, "logged_out_uri": LOGGED_OUT_URI}
        node.stdin.write(json.dumps(told) + "\n")
        node.stdin.flush()
        facts = _first_object(node.stdout)
        found = httpx.get(f"{facts['issuer']}/.well-known/openid-configuration", trust_env=False)

        def mint(what: str, client: str) -> str:
            address = f"{facts['admin']}/{what}"
            return httpx.get(address, params={"client": client}, trust_env=False).text

        try:
            yield Side(
                "oidc-provider",
                found.json(),
                facts["secrets"],
                private,
                facts["verifier"],
                mint,
            )
        finally:
            node.terminate()


def _first_object(lines: Any) -> dict[str, Any]:
    for line in lines:
        if line.startswith('{"issuer"'):
            return dict(json.loads(line))
    raise AssertionError("oidc-provider did not start")
