"""Clients: who is registered, for what purpose, and how a program proves that it is one of them.

- `Clients.authenticate` is the only place where a client's word is checked; every endpoint that
  takes a client calls it.
- A secret is made here (256 bits, shown once, "yzs_" and a readable prefix to tell two apart) and
  stored as HMAC-SHA-256: nothing slow is needed for what cannot be guessed.
- A client is registered with one method of authentication and may use no other; where its profile
  says so, a secret counts in the header and in the form.
- A client whose profile the operator forbids is treated as disabled, and told why.
- A client assertion is accepted once.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from foundation.actor import Actor
from foundation.batching import HotRequest, Loader
from foundation.clock import Clock
from foundation.database import Database, Tx, is_unique_violation
from foundation.errors import Unavailable
from idp.clients import registration
from idp.clients.credentials import (
    FAILED,
    LEEWAY,
    Credentials,
    assertion_algorithms,
    assertion_key,
    check_assertion_claims,
    read_credentials,
)
from idp.clients.mtls import ClientCertificates
from idp.clients.remote_metadata import RemoteMetadata, Vouched
from idp.models import AuthMethod, Client, RegisteredClient
from idp.protocol import encryption
from idp.protocol.errors import (
    ClientDeleted,
    ClientExists,
    ClientNotFound,
    InvalidClient,
    InvalidClientMetadata,
    LogoNotFound,
)
from idp.protocol.grant_types import GrantTypes
from idp.protocol.policy import Policy
from idp.protocol.profiles import (
    CERTIFICATE_METHODS,
    SECRET_METHODS,
    STRICT,
    authorization_algorithm,
    response_algorithm,
    rules_of,
)
from idp.store import clients
from idp.store.replays import ReplayCache
from keys import InvalidJws
from keys.encoding.jose import unverified_header, verify_compact
from ledger import Entry, Ledger

SECRET_PREFIX: Final = "yzs_"  # noqa: S105 - marks a leaked secret as ours


@dataclass(frozen=True, slots=True)
class ClientRegistration:
    """A fresh registration. `client_secret` exists only in this value; "" when there is none."""

    client: Client
    client_secret: str = ""

    @property
    def client_id(self) -> str:
        """The public name that the client was registered under."""
        return self.client.client_id


class Clients:
    """The register of clients.

    `policy` is what the operator allows; `publish` sees to it that a key of an algorithm is
    published, before a client that wants it is registered.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        replays: ReplayCache,
        certificates: ClientCertificates,
        remote_metadata: RemoteMetadata,
        clock: Clock,
        issuer: str,
        grant_types: GrantTypes,
        publish: Callable[[str], None],
        *,
        policy: Policy = STRICT,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._replays = replays
        self._certificates = certificates
        self._remote_metadata = remote_metadata
        self._clock = clock
        self._issuer = issuer
        self.grant_types = grant_types
        self._publish = publish
        self.policy = policy
        self.forbidden = frozenset(policy.forbidden_profiles)
        self._registered: Loader[str, RegisteredClient] = Loader(database, self.known)
        self._parsed: dict[tuple[str, int], RegisteredClient] = {}

    def vouch(self, client: Client) -> Vouched:
        """Look at what a client to be registered keeps at addresses of its own, which may take
        seconds: never inside a transaction. Raises `InvalidClientMetadata`.
        """
        registration.check(client, self.grant_types, self.policy)
        for algorithm in {response_algorithm(client), authorization_algorithm(client)}:
            self._publish(algorithm)
        vouched = self._remote_metadata.vouch(client)
        if not any(encryption.wanted(client, kind) for kind in encryption.KINDS):
            return vouched
        if problems := registration.lacking_keys(client, self._remote_metadata.jwks(client)):
            raise InvalidClientMetadata(problems[0].detail, errors=problems)
        return vouched

    async def with_keys(self, client: Client, *kinds: encryption.Kind) -> Client:
        """The client with its own keys at hand, if something of `kinds` is encrypted for it.

        Asked before anything is used up. Raises `Unavailable` while they cannot be had.
        """
        if not client.jwks_uri or not any(encryption.wanted(client, kind) for kind in kinds):
            return client
        return _with(client, await self._remote_metadata.jwks_later(client))

    def with_keys_now(self, client: Client, *kinds: encryption.Kind) -> Client:
        """`with_keys` off the event loop. May wait for the network: never inside a transaction."""
        if not client.jwks_uri or not any(encryption.wanted(client, kind) for kind in kinds):
            return client
        return _with(client, self._remote_metadata.jwks(client))

    def register(self, tx: Tx, client: Client | Vouched, *, by: Actor) -> ClientRegistration:
        """Add a client whose registration is sound (`registration.check`); one ledger entry.

        A client with addresses of its own must be vouched for. Raises `InvalidClientMetadata` or
        `ClientExists`.
        """
        logo = client.logo if isinstance(client, Vouched) else None
        client = registration.checked(client, self.grant_types, self.policy)
        secret, secret_hash = self.new_secret(client)
        now = self._clock()
        try:
            with tx.begin_nested():
                clients.add_client(tx, client, secret_hash, secret[:12], logo, now)
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            raise ClientExists(f"the client {client.client_id} is, or was, registered") from None
        self.append(tx, "idp.client_registered", client, by, now)
        return ClientRegistration(client, secret)

    def add(self, client: Client, *, by: Actor) -> ClientRegistration:
        """`register` as a use case of its own."""
        vouched = self.vouch(client)
        with self._database.write() as tx:
            return self.register(tx, vouched, by=by)

    def replace_secret(self, client_id: str, *, by: Actor) -> str:
        """A new secret for a client; the old one stops working at the commit."""
        with self._database.write() as tx:
            client = self.get(tx, client_id).client
            if clients.is_deleted(tx, client_id):
                raise ClientDeleted("the client was deleted; its client_id is given to nobody else")
            secret, secret_hash = self.new_secret(client)
            only = clients.only_secret(secret_hash, secret[:12])
            clients.set_client(tx, client_id, **only)
            self.append(tx, "idp.client_secret_replaced", client, by, self._clock())
        return secret

    def has_secret(self, tx: Tx, client_id: str, secret: str) -> bool:
        """Whether `secret` is the client's own; compared in constant time. Raises
        `ClientNotFound`."""
        return self._is_one_of(self.get(tx, client_id), secret)

    def change(self, tx: Tx, old: Client, vouched: Client | Vouched, *, by: Actor) -> str:
        """New metadata for a client, checked as in `register`; answers a secret if a new one is
        needed."""
        new = registration.checked(vouched, self.grant_types, self.policy)
        secret, secret_hash = "", ""
        changed: dict[str, Any] = {"metadata": clients.client_document(new)}
        changed["logo"] = vouched.logo if isinstance(vouched, Vouched) else None
        if new.token_endpoint_auth_method != old.token_endpoint_auth_method:
            secret, secret_hash = self.new_secret(new)
            changed |= clients.only_secret(secret_hash, secret[:12])
        clients.set_client(tx, new.client_id, **changed)
        self.append(tx, "idp.client_changed", new, by, self._clock())
        return secret

    def disable(self, client_id: str, *, by: Actor) -> None:
        """From the commit on, neither the client nor any of its tokens is accepted."""
        with self._database.write() as tx:
            self.end(tx, self.get(tx, client_id).client, by=by)

    def end(self, tx: Tx, client: Client, *, by: Actor) -> None:
        """`disable` in the caller's transaction."""
        now = self._clock()
        clients.set_client(tx, client.client_id, disabled_at=now)
        self.append(tx, "idp.client_disabled", client, by, now)

    def get(self, tx: Tx, client_id: str) -> RegisteredClient:
        """Raises `ClientNotFound`."""
        row = clients.client_rows(tx, [client_id]).get(client_id)
        if row is None:
            raise ClientNotFound("no such client is registered")
        return self._parse(row)

    def find(self, tx: Tx, client_id: str) -> Client | None:
        """An enabled client, or None: for the authorization endpoint."""
        row = clients.client_rows(tx, [client_id]).get(client_id)
        return None if row is None else self.enabled(row)

    def enabled(self, row: Row[Any]) -> Client | None:
        """The client of a row that was read together with something else, if it is enabled."""
        if row.metadata is None or row.disabled_at is not None:
            return None
        registered = self._parse(row)
        return None if registered.disabled else registered.client

    def why_forbidden(self, tx: Tx, client_id: str) -> str:
        """Why `find` keeps back a client that is there; "" when there is none, or it is disabled
        by itself."""
        row = clients.client_rows(tx, [client_id]).get(client_id)
        if row is None or row.disabled_at is not None or not self._parse(row).forbidden:
            return ""
        return _forbidden(self._parse(row).client)

    def all(self, organisation: str | None = None) -> list[RegisteredClient]:
        """Every registered client, or those of one organisation, disabled ones included; oldest
        first."""
        with self._database.read() as tx:
            return [self._parse(row) for row in clients.all_client_rows(tx, organisation)]

    def logo(self, client_id: str, digest: str) -> bytes:
        """The picture of an enabled client, as PNG. Raises `LogoNotFound`, also when it has another
        one by now."""
        with self._database.read() as tx:
            found = clients.logo(tx, client_id, digest)
        if found is None:
            raise LogoNotFound("this client has no such logo")
        return found

    def jwks_of(self, client: Client, kid: object = None) -> Mapping[str, Any] | None:
        """The client's own keys. May wait for the network."""
        return self._remote_metadata.jwks(client, kid)

    async def jwks_later(self, client: Client, kid: object) -> None:
        """See to it that `jwks_of` need not wait."""
        await self._remote_metadata.jwks_later(client, kid)

    def known(self, tx: Tx, ids: Sequence[str]) -> dict[str, RegisteredClient]:
        """Many at once, for a `Loader`."""
        return {name: self._parse(row) for name, row in clients.client_rows(tx, ids).items()}

    async def authenticate(self, request: HotRequest, form: Mapping[str, str]) -> Client:
        """Which client sends this request? (RFC 6749 §2.3, RFC 7523 §3, RFC 8705 §2)

        1. Exactly one method is used.
        2. The client exists, is enabled, and is registered for this very method.
        3. Its proof holds.
        Raises `InvalidClient`, always in the same words, or `InvalidRequest` for step 1.
        """
        credentials = read_credentials(request.headers, form)
        registered = await self._registered.get(credentials.client_id)
        return await self.prove(request, credentials, registered)

    async def prove(
        self, request: HotRequest, credentials: Credentials, registered: RegisteredClient | None
    ) -> Client:
        """Steps 2 and 3 of `authenticate`, for who has looked the client up for this request."""
        # 2.
        if registered is not None and registered.forbidden:
            raise InvalidClient(_forbidden(registered.client))
        if registered is None or registered.disabled:
            raise InvalidClient(FAILED)
        method = registered.client.token_endpoint_auth_method
        by_certificate = method in CERTIFICATE_METHODS and credentials.method == "none"
        usual = method == credentials.method
        if not (usual or by_certificate or _either(registered.client, credentials.method)):
            raise InvalidClient(FAILED)
        # 3.
        if by_certificate:
            self._check_certificate(request, registered.client)
        elif method == "private_key_jwt":
            await self._check_assertion(credentials.proof, registered.client)
        elif method != "none" and not self._is_one_of(registered, credentials.proof):
            raise InvalidClient(FAILED)
        request.asker = registered.client.client_id
        return registered.client

    def close(self) -> None:
        """Finish the reads that were given and stop fetching keys from clients' addresses."""
        self._registered.close()
        self._remote_metadata.close()

    def _is_one_of(self, registered: RegisteredClient, secret: str) -> bool:
        """Whether it is a secret of the client: while one is exchanged there are two."""
        offered = self._hash(secret)
        found = False
        for each in registered.secret_hashes:
            found |= secrets.compare_digest(offered, each)
        return found

    def _check_certificate(self, request: HotRequest, client: Client) -> None:
        shown = self._certificates.of(request)
        if shown is None or not self._certificates.proves(shown, client, self._clock()):
            raise InvalidClient(FAILED)

    async def _check_assertion(self, assertion: str, client: Client) -> None:
        """RFC 7523 §3 with the narrow reading of FAPI 2.0: see `check_assertion_claims`."""
        now = self._clock()
        try:
            kid = unverified_header(assertion).get("kid") if client.jwks_uri else None
            jwks = await self._remote_metadata.jwks_later(client, kid)
            accepted = assertion_algorithms(client)
            verified = verify_compact(
                assertion, typ=None, key_for=lambda header: assertion_key(header, jwks, accepted)
            )
        except InvalidJws:
            raise InvalidClient(FAILED) from None
        expires_at = check_assertion_claims(verified.claims, client, self._issuer, now)
        jti = str(verified.claims["jti"])
        until = expires_at + LEEWAY
        if not await self._replays.first("client_assertion", client.client_id, jti, until):
            raise InvalidClient("the client assertion was used before")

    def _parse(self, row: Row[Any]) -> RegisteredClient:
        """Parsed once per version of a registration."""
        key = (row.client_id, row.version)
        if (known := self._parsed.get(key)) is None:
            if len(self._parsed) > 10_000:
                self._parsed.clear()
            known = clients.registered_client(row)
            if known.client.profile in self.forbidden:
                known = replace(known, disabled=True, forbidden=True)
            self._parsed[key] = known
        return known

    def new_secret(self, client: Client) -> tuple[str, str]:
        """A secret and how it is stored; both "" for a client that proves itself otherwise."""
        if not client.token_endpoint_auth_method.startswith("client_secret"):
            return "", ""
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        return secret, self._hash(secret)

    def _hash(self, secret: str) -> str:
        return self._database.cipher.blind_index(secret, "clients.secret_hash")

    def append(self, tx: Tx, kind: str, client: Client, by: Actor, now: datetime) -> None:
        """What was done to a client, in the ledger."""
        details = {
            "client_id": client.client_id,
            "profile": client.profile,
            "scopes": " ".join(client.scopes),
            "claims": " ".join(client.claims),
        }
        self._ledger.append(tx, Entry(kind=kind, actor=by, at=now, details=details))


def _with(client: Client, jwks: Mapping[str, Any] | None) -> Client:
    if registration.lacking_keys(client, jwks):
        raise Unavailable("the client's encryption key cannot be had", retry_after=10)
    return replace(client, jwks=jwks)


def _either(client: Client, used: AuthMethod) -> bool:
    """Whether the client may send its secret in the other of the two places."""
    both = client.token_endpoint_auth_method in SECRET_METHODS and used in SECRET_METHODS
    return both and rules_of(client).either_secret_method


def _forbidden(client: Client) -> str:
    return (
        f"the operator forbids the profile {client.profile}, with which this client is registered; "
        "it must be registered as standard or fapi2"
    )
