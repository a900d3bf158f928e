"""SD-JWT VC: a credential whose holder shows only the claims that are asked for (`dc+sd-jwt`).

    text = issue(keys, "certificates.credentials", vct=…, claims={…}, disclosable={"name"}, …)
    verify(text, key_for=…, now=…).claims["name"]

Issuing salts each disclosable claim with 128 random bits and signs the digests; verifying is strict
and follows RFC 9901 §7 step by step, because libraries leave much of it to the caller:

- every embedded digest once in the whole credential, every disclosure referenced, once;
- no reserved name (`_sd`, `...`, `_sd_alg`) where it does not belong, no claim disclosed over
  another;
- never selectively disclosable: iss, nbf, exp, cnf, vct, vct#integrity, aka_vcts, status
  (draft-ietf-oauth-sd-jwt-vc);
- type, times, issuer and key binding are checked here, not by the caller.

Refusals are `CredentialRefused` with a stable `reason`.
"""

import hashlib
import secrets
from binascii import b2a_base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from foundation.canonical import b64url, b64url_decode
from keys import (
    InvalidJws,
    Keys,
    MalformedJwk,
    PendingUses,
    SigningAuthorization,
)
from keys.encoding.jose import (
    KeyFor,
    VerificationKey,
    VerifiedJws,
    verification_key,
    verify_compact,
)
from signing.errors import CredentialRefused
from signing.formats.sd_jwt_vc.disclosures import (
    ALWAYS_OPEN,
    RESERVED,
    Processing,
    digest_of,
    digested,
    encode,
)

TYPE: Final = "dc+sd-jwt"
KEY_BINDING_TYPE: Final = "kb+jwt"
MOST_DISCLOSURES: Final = 256
LONGEST: Final = 262_144
_OURS: Final = ALWAYS_OPEN | {"iat"}
_SALT: Final = 16


# --- issuing ----------------------------------------------------------------------------------


def issue(  # noqa: PLR0913 - each is a claim of the draft or of RFC 7519
    keys: Keys,
    use: str,
    *,
    vct: str,
    claims: Mapping[str, Any],
    disclosable: Collection[str],
    iss: str,
    iat: datetime,
    nbf: datetime | None = None,
    exp: datetime | None = None,
    status: Mapping[str, Any] | None = None,
    cnf: Mapping[str, Any] | None = None,
    chain: Sequence[bytes] = (),
    order: SigningAuthorization | None = None,
    pending_uses: PendingUses | None = None,
) -> str:
    """A credential with all its disclosures, signed by `use`.

    `claims` are the holder's; those named in `disclosable` can be left out by the holder. `status`
    is the status claim (Token Status List), `cnf` the holder's key, `chain` DER certificates for
    the x5c header, leaf first, without the root. The key of a seal signs by `order` (`Keys.sign`).
    Raises `CredentialRefused` for reserved names.
    """
    open_claims = {name: value for name, value in claims.items() if name not in disclosable}
    _must_be_free(claims, disclosable)
    payload = open_claims | _registered(vct, iss, iat, nbf, exp, status, cnf)
    disclosures, digests = _disclose(claims, disclosable)
    if digests:
        payload["_sd"] = digests
        payload["_sd_alg"] = "sha-256"
    header = {"x5c": [b2a_base64(der, newline=False).decode() for der in chain]} if chain else None
    signed = keys.jws(use, payload, typ=TYPE, header=header, order=order, pending_uses=pending_uses)
    return "~".join((signed, *disclosures, ""))


def _must_be_free(claims: Mapping[str, Any], disclosable: Collection[str]) -> None:
    taken = claims.keys() & (_OURS | RESERVED)
    if taken:
        raise CredentialRefused("claim_name_reserved", f"not yours to set: {', '.join(taken)}")
    missing = [name for name in disclosable if name not in claims]
    if missing:
        raise CredentialRefused("claim_missing", f"nothing to disclose: {', '.join(missing)}")


def _registered(
    vct: str,
    iss: str,
    iat: datetime,
    nbf: datetime | None,
    exp: datetime | None,
    status: Mapping[str, Any] | None,
    cnf: Mapping[str, Any] | None,
) -> dict[str, Any]:
    present: dict[str, Any] = {"vct": vct, "iss": iss, "iat": int(iat.timestamp())}
    if nbf is not None:
        present["nbf"] = int(nbf.timestamp())
    if exp is not None:
        present["exp"] = int(exp.timestamp())
    if status is not None:
        present["status"] = dict(status)
    if cnf is not None:
        present["cnf"] = dict(cnf)
    return present


def _disclose(
    claims: Mapping[str, Any], disclosable: Collection[str]
) -> tuple[list[str], list[str]]:
    """Disclosures in the order of the claims; digests sorted, so that they tell no order."""
    chosen = [name for name in claims if name in disclosable]
    randomness = secrets.token_bytes(_SALT * len(chosen))
    disclosures, digests = [], []
    for place, name in enumerate(chosen):
        salt = encode(randomness[place * _SALT : (place + 1) * _SALT]).decode()
        disclosure = encode(orjson.dumps([salt, name, claims[name]]))
        disclosures.append(disclosure.decode())
        digests.append(digest_of(disclosure))
    return disclosures, sorted(digests)


def select(text: str, names: Collection[str]) -> str:
    """What a holder shows: the same credential with only these top-level claims disclosed."""
    signed, *disclosures, _end = text.split("~")
    shown = [one for one in disclosures if orjson.loads(b64url_decode(one))[1] in names]
    return "~".join((signed, *shown, ""))


# --- verifying --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyBinding:
    """What the verifier asked of the holder: for whom, over which nonce, how fresh."""

    audience: str
    nonce: str
    freshness: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class VerifiedSdJwt:
    """A credential that stood every check. Its status is still to be asked at `status`."""

    claims: Mapping[str, Any]
    disclosed: frozenset[str]
    header: Mapping[str, Any]
    key: VerificationKey
    vct: str
    status: Mapping[str, Any] | None
    bound: bool


def verify(
    text: str,
    *,
    key_for: KeyFor,
    now: datetime,
    vct: str | None = None,
    iss: str | None = None,
    binding: KeyBinding | None = None,
    leeway: timedelta = timedelta(seconds=60),
) -> VerifiedSdJwt:
    """Verify a credential or presentation (RFC 9901 §7). Raises `CredentialRefused`.

    `key_for` maps the JOSE header (kid, x5c) to a trusted key; `vct` and `iss`, when given, are
    the only ones accepted; `binding` demands a key-binding JWT, and without it none is accepted.

    1. take the text apart                      4. every disclosure used, no digest twice
    2. the issuer's signature and type          5. registered claims: vct, iss, times, status
    3. put disclosed claims in their places     6. key binding
    """
    # 1.
    signed, disclosures, bound = _split(text)
    # 2.
    jws = _issuer_signed(signed, key_for)
    # 3. and 4.
    processing = Processing(digested(disclosures))
    claims = processing.payload(jws.claims)
    processing.must_be_complete()
    # 5.
    _check_registered(claims, vct, iss)
    _check_times(claims, now, leeway)
    # 6.
    _check_binding(text, bound, binding, claims, now)
    return VerifiedSdJwt(
        claims=claims,
        disclosed=frozenset(processing.disclosed),
        header=jws.header,
        key=jws.key,
        vct=claims["vct"],
        status=claims.get("status"),
        bound=bool(bound),
    )


def _split(text: str) -> tuple[str, list[str], str]:
    if len(text) > LONGEST or not text.isascii():
        raise CredentialRefused("not_an_sd_jwt", "too long, or not ASCII")
    signed, *disclosures = text.split("~")
    if not disclosures:
        raise CredentialRefused("not_an_sd_jwt", "there is no ~ in it")
    bound = disclosures.pop()
    if len(disclosures) > MOST_DISCLOSURES:
        raise CredentialRefused("too_many_disclosures", f"more than {MOST_DISCLOSURES}")
    return signed, disclosures, bound


def _issuer_signed(signed: str, key_for: KeyFor) -> VerifiedJws:
    try:
        return verify_compact(signed, typ=TYPE, key_for=key_for)
    except InvalidJws as refused:
        raise CredentialRefused(refused.code, refused.detail) from None


def _check_registered(claims: Mapping[str, Any], vct: str | None, iss: str | None) -> None:
    found = claims.get("vct")
    if not isinstance(found, str) or not found:
        raise CredentialRefused("vct_missing")
    if vct is not None and found != vct:
        raise CredentialRefused("vct_unexpected", found)
    issuer = claims.get("iss")
    if issuer is not None and not isinstance(issuer, str):
        raise CredentialRefused("issuer_malformed")
    if iss is not None and issuer != iss:
        raise CredentialRefused("issuer_unexpected")
    if not isinstance(claims.get("status", {}), dict):
        raise CredentialRefused("status_malformed")
    if not isinstance(claims.get("cnf", {}), dict):
        raise CredentialRefused("cnf_malformed")


def _check_times(claims: Mapping[str, Any], now: datetime, leeway: timedelta) -> None:
    at, slack = now.timestamp(), leeway.total_seconds()
    for name in ("iat", "nbf", "exp"):
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CredentialRefused("time_malformed", f"{name} is not a number")
    if claims.get("iat", at) > at + slack:
        raise CredentialRefused("issued_in_future")
    if claims.get("nbf", at) > at + slack:
        raise CredentialRefused("not_yet_valid")
    if claims.get("exp", at + 1) <= at - slack:
        raise CredentialRefused("expired")


# --- key binding (§7.3) -----------------------------------------------------------------------


def _check_binding(
    text: str,
    bound: str,
    wanted: KeyBinding | None,
    claims: Mapping[str, Any],
    now: datetime,
) -> None:
    if wanted is None:
        if bound:
            raise CredentialRefused("key_binding_unexpected", "nobody here asked for it")
        return
    if not bound:
        raise CredentialRefused("key_binding_missing")
    holder = _holder_key(claims)
    try:
        jws = verify_compact(bound, typ=KEY_BINDING_TYPE, key_for=lambda _header: holder)
    except InvalidJws as refused:
        raise CredentialRefused("key_binding_wrong", refused.detail) from None
    presented = text[: len(text) - len(bound)]
    expected = {
        "aud": wanted.audience,
        "nonce": wanted.nonce,
        "sd_hash": b64url(hashlib.sha256(presented.encode()).digest()),
    }
    for name, value in expected.items():
        if jws.claims.get(name) != value:
            raise CredentialRefused("key_binding_wrong", f"{name} is not the expected one")
    made = jws.claims.get("iat")
    if isinstance(made, bool) or not isinstance(made, int | float):
        raise CredentialRefused("key_binding_wrong", "iat is not a number")
    if abs(now.timestamp() - made) > wanted.freshness.total_seconds():
        raise CredentialRefused("key_binding_stale")


def _holder_key(claims: Mapping[str, Any]) -> VerificationKey:
    jwk = claims.get("cnf", {}).get("jwk")
    if not isinstance(jwk, dict):
        raise CredentialRefused("cnf_malformed", "the credential names no holder key")
    try:
        return verification_key(jwk)
    except MalformedJwk as problem:
        raise CredentialRefused("cnf_malformed", problem.detail) from None
