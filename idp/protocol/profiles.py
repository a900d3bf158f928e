"""Client profiles: how strict we are with whom, in one table.

    fapi2      confidential clients, and the default: FAPI 2.0 Security Profile §5.3.2
    standard   confidential clients that speak plain OpenID Connect: RFC 9700 §2
    basic      confidential clients that know no more than OpenID Connect Core 1.0
    public     browser and native apps: RFC 9700 §2.1.1, RFC 8252, with DPoP (RFC 9449)

What is the same for all is no row: authorization code only, no implicit and no password grant, PKCE
with S256 and never plain, `iss` in every response, and codes that live a minute and work once.

What a row gives up against `fapi2` is read off the row (`weakenings`), so that nobody has to
remember it: operators read it in `clients show`, people on the consent page. An operator can forbid
`basic` as a whole (`FORBIDDABLE`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from idp.models import AuthMethod, Client, Profile
from idp.protocol.policy import Policy

STRICT: Final = Policy()
SIGNING_ALGORITHMS: Final = ("ES256", "PS256", "EdDSA")  # FAPI 2.0 §5.4.1
CERTIFICATE_METHODS: Final[tuple[AuthMethod, ...]] = (
    "tls_client_auth",
    "self_signed_tls_client_auth",
)
SECRET_METHODS: Final[tuple[AuthMethod, ...]] = ("client_secret_basic", "client_secret_post")
# JARM §2.3; fragment.jwt is not for the code flow, and "jwt" means query.jwt there (§2.3.4).
IN_THE_ADDRESS_AS_JWT: Final = ("query.jwt", "jwt")
AS_JWT: Final = ("form_post.jwt", *IN_THE_ADDRESS_AS_JWT)
FORBIDDABLE: Final[tuple[Profile, ...]] = ("basic",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One row.

    `algorithms` are those that a client may sign with, and have us sign with; `default_algorithm`
    is ours for whoever names none. `may_omit_pkce`: neither PKCE nor a nonce is asked for, but what
    is sent counts. `may_rely_on_nonce`: a client may be registered to use OpenID Connect's nonce in
    place of PKCE (RFC 9700 §2.1.1). `either_secret_method`: a secret counts in the header and in
    the form, whichever of the two was registered. `token_endpoint_as_audience` and
    `audience_as_list`: what `aud` of a client assertion may be beside the issuer as a string;
    `longest_assertion`: how far ahead its `exp` may be.
    `rotates_refresh_tokens`: each use of one makes the next.
    `strict_dates`: a signed request says nbf and exp, and no proof is dated far ahead of our clock.
    `may_rely_on_rotation`: a client may be registered to do without bound tokens.
    `told_to_people`: the consent page lists what the row weakens.
    """

    auth_methods: tuple[AuthMethod, ...]
    must_push: bool
    sender_constrained: bool
    may_rely_on_nonce: bool
    response_modes: tuple[str, ...]
    algorithms: tuple[str, ...] = SIGNING_ALGORITHMS
    default_algorithm: str = "ES256"
    may_omit_pkce: bool = False
    either_secret_method: bool = False
    token_endpoint_as_audience: bool = False
    audience_as_list: bool = False
    longest_assertion: timedelta = timedelta(minutes=10)
    told_to_people: bool = False
    rotates_refresh_tokens: bool = True  # RFC 9700 §2.2.2
    strict_dates: bool = False
    may_rely_on_rotation: bool = False


PROFILES: Final[Mapping[Profile, Rules]] = MappingProxyType(
    {
        "fapi2": Rules(
            auth_methods=("private_key_jwt", *CERTIFICATE_METHODS),  # §5.3.2.1 no. 6
            must_push=True,  # §5.3.2.2 no. 3
            sender_constrained=True,  # §5.3.2.1 no. 4, 5
            may_rely_on_nonce=False,  # §5.3.2.2 no. 5
            response_modes=("query", *IN_THE_ADDRESS_AS_JWT),  # Message Signing §5.4
            rotates_refresh_tokens=False,  # §5.3.2.1 no. 9
            strict_dates=True,  # §5.3.2.1; Message Signing §5.3.1
        ),
        "standard": Rules(
            auth_methods=(*SECRET_METHODS, "private_key_jwt"),
            must_push=False,
            sender_constrained=False,
            may_rely_on_nonce=True,
            response_modes=("query", "form_post", *AS_JWT),
            token_endpoint_as_audience=True,  # OIDC Core §9
        ),
        "basic": Rules(
            auth_methods=(*SECRET_METHODS, "private_key_jwt"),
            must_push=False,
            sender_constrained=False,
            may_rely_on_nonce=True,
            response_modes=("query", "form_post", *AS_JWT),
            algorithms=("RS256", *SIGNING_ALGORITHMS),
            default_algorithm="RS256",  # OIDC Registration §2, Core §15.1
            may_omit_pkce=True,  # Core §3.1.2.1 knows no PKCE, and its nonce is OPTIONAL
            either_secret_method=True,
            token_endpoint_as_audience=True,  # Core §9
            audience_as_list=True,  # RFC 7519 §4.1.3
            longest_assertion=timedelta(minutes=61),  # an hour is what libraries have by default
            told_to_people=True,
        ),
        "public": Rules(
            auth_methods=("none",),
            must_push=False,
            sender_constrained=True,  # RFC 9700 §2.2.2: or rotation; here it is both
            may_rely_on_nonce=False,
            response_modes=("query", *IN_THE_ADDRESS_AS_JWT),
            may_rely_on_rotation=True,  # RFC 9700 §2.2.2, where the operator lets it
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Weakening:
    """Something that a row gives up against `fapi2`. `code` is stable for ever; `text` is for
    operators, what people read stands in the portal under `weakening.` and the code."""

    code: str
    text: str
    of: Callable[[Rules], bool]


WEAKENINGS: Final = (
    Weakening(
        "pkce_optional",
        "PKCE and nonce may both be left out: a code that is stolen on its way, or slipped into "
        "somebody else's sign-in, is stopped by the client's own authentication and state alone",
        lambda row: row.may_omit_pkce,
    ),
    Weakening(
        "rs256",
        "RS256 (RSASSA-PKCS1-v1_5) is accepted and is what ID tokens are signed with unless the "
        "registration names another; FAPI 2.0 leaves it out",
        lambda row: "RS256" in row.algorithms,
    ),
    Weakening(
        "shared_secret",
        "the client may prove itself with a secret that travels with each request: whoever reads "
        "one request is the client",
        lambda row: not frozenset(SECRET_METHODS).isdisjoint(row.auth_methods),
    ),
    Weakening(
        "either_secret_method",
        "the secret counts in the header and in the form, whichever was registered; forms are "
        "written to logs more often",
        lambda row: row.either_secret_method,
    ),
    Weakening(
        "token_endpoint_audience",
        "a client assertion may name the token endpoint as its audience: an issuer that the client "
        "also trusts could have it made for us",
        lambda row: row.token_endpoint_as_audience,
    ),
    Weakening(
        "long_assertions",
        "a client assertion may be made up to an hour before it is used, where others have ten "
        "minutes; each still counts once",
        lambda row: row.longest_assertion > timedelta(minutes=10),
    ),
    Weakening(
        "bearer_tokens",
        "access tokens are bound to no key: whoever has one can use it until it ends",
        lambda row: not row.sender_constrained,
    ),
    Weakening(
        "requests_in_the_browser",
        "authorization requests may come through the browser, where they can be read and changed",
        lambda row: not row.must_push,
    ),
)


def rules_of(client: Client) -> Rules:
    """The row of the table that holds for `client`."""
    return PROFILES[client.profile]


def weakenings(row: Rules) -> tuple[Weakening, ...]:
    """What a row gives up against `fapi2`, read off its members; empty for that one itself."""
    return tuple(each for each in WEAKENINGS if each.of(row))


def weakenings_of(client: Client) -> tuple[Weakening, ...]:
    """What a client gives up: what its row does, and the bound tokens if it relies on rotation."""
    row = rules_of(client)
    return weakenings(replace(row, sender_constrained=False) if client.relies_on_rotation else row)


def weakenings_told(client: Client) -> tuple[str, ...]:
    """The codes of `weakenings` that the consent page lists; none where the row is not so weak that
    people are told."""
    row = rules_of(client)
    return tuple(each.code for each in weakenings(row)) if row.told_to_people else ()


def algorithms(forbidden: Collection[Profile] = ()) -> tuple[str, ...]:
    """Every algorithm of the rows that are not forbidden, for metadata."""
    rows = [row for name, row in PROFILES.items() if name not in forbidden]
    return tuple(dict.fromkeys(each for row in rows for each in row.algorithms))


def response_algorithm(client: Client) -> str:
    """What everything is signed with that we sign for `client` alone: ID token, logout token,
    userinfo and introspection (OIDC Registration §2, Back-Channel Logout §2.6)."""
    return client.id_token_signed_response_alg or rules_of(client).default_algorithm


def authorization_algorithm(client: Client) -> str:
    """What its authorization responses are signed with, where it wants them signed (JARM §3)."""
    return client.authorization_signed_response_alg or response_algorithm(client)


def response_modes() -> tuple[str, ...]:
    """Every way to answer that some profile has, for metadata."""
    return tuple(dict.fromkeys(each for row in PROFILES.values() for each in row.response_modes))


def needs_proof(client: Client, policy: Policy = STRICT) -> bool:
    """Whether every token of `client` is bound to a DPoP key: registered so (RFC 9449 §5.2), or
    because its profile wants a bound token and no certificate binds it. An app may rely on rotation
    in its place, where the operator lets it (RFC 9700 §2.2.2)."""
    if client.dpop_bound_access_tokens:
        return True
    if client.relies_on_rotation and policy.public_clients_without_dpop:
        return not rules_of(client).may_rely_on_rotation
    bound_otherwise = client.tls_client_certificate_bound_access_tokens
    return rules_of(client).sender_constrained and not bound_otherwise


def must_push(client: Client) -> bool:
    """Whether the client's requests count only when pushed (RFC 9126 §6)."""
    return rules_of(client).must_push or client.require_pushed_authorization_requests
