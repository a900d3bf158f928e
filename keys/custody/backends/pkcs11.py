"""Private keys in a hardware module, reached through PKCS#11; they never leave it.

    pkcs11:token=yinzheng?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin

- The address is an RFC 7512 URI. The PIN comes from a file that only its owner can read; a PIN in
  the URI (`pin-value`) is refused, because settings end up in logs.
- Keys are made inside the module: sensitive, not extractable, found again by a random 16-byte id.
  The `handle` in our table is that id as a URI and holds no secret. The label beside the key begins
  with a digest of its policy, so a key opens for the use it was made for and no other.
- Looking an object up costs four signatures, so the session keeps the objects it has found.
- One thread of the process speaks to modules, one question after another: python-pkcs11 initialises
  a module for single-threaded use (C_Initialize without CKF_OS_LOCKING_OK; PKCS#11 v2.40 §5.4), and
  two threads inside it end in a crash. More signatures a second come from more processes.
- Who asks waits `ANSWER_WITHIN`, whatever the module does, and while it is silent the others are
  told at once. A signature that comes after that is thrown away. The way through the thread costs
  some 40 µs; a hardware module takes milliseconds.
- A module that lost its session (restart, fail-over) is asked once more with a new one; after that
  the answer is `KeyStoreUnavailable`, and nothing was signed.
"""

import hashlib
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes

import pkcs11
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

from keys.custody.backends import NewKey, Signer
from keys.custody.backends.files import read_secret
from keys.encoding.algorithms import RSA_BITS, Algorithm, PublicKey, der_from_raw
from keys.encoding.jose import jwk_of, thumbprint
from keys.errors import KeyDamaged, KeyStoreUnavailable, UnusableBackend
from keys.policy import KeyPolicy

ANSWER_WITHIN: Final = 10.0
_GENERATE_WITHIN: Final = 30.0  # an HSM may look for the primes of an RSA key that long
_MAX_PIN: Final = 256
_PATH_ATTRIBUTES: Final = frozenset({"token", "serial", "manufacturer", "model"})
_QUERY_ATTRIBUTES: Final = frozenset({"module-path", "pin-source"})
_PRIVATE: Final = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
}
# What remains wrong after a new session is the module's own trouble.
_LOST: Final = (
    pkcs11.exceptions.SessionHandleInvalid,
    pkcs11.exceptions.SessionClosed,
    pkcs11.exceptions.ObjectHandleInvalid,
    pkcs11.exceptions.KeyHandleInvalid,
    pkcs11.exceptions.UserNotLoggedIn,
    pkcs11.exceptions.DeviceError,  # how a wire to a module that is gone says so
    pkcs11.exceptions.DeviceRemoved,
    pkcs11.exceptions.TokenNotPresent,
    pkcs11.exceptions.NoSuchToken,  # the module was initialised while its token was away
)


@dataclass(frozen=True, slots=True)
class _Mechanisms:
    """How one row of the algorithm table is spoken in PKCS#11."""

    generate: Callable[[Any, Mapping[str, Any]], tuple[Any, Any]]
    public: Callable[[Any], PublicKey]
    sign: Callable[[Any, bytes], bytes]


class _Speaker:
    """The one thread that is inside a module; it is started by the first question."""

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = (
            queue.SimpleQueue()
        )
        self._starting = threading.Lock()
        self._started = False
        self._since: float | None = None

    def ask(self, act: Callable[[], Any], within: float) -> Any:
        """What `act` answers or raises. `TimeoutError` when it does not end `within` seconds, or
        another has not ended for so long; an act that was not begun by then never is.
        """
        since = self._since
        if since is not None and time.monotonic() - since > within:
            raise TimeoutError
        self._start_once()
        answer: Future[Any] = Future()
        self._questions.put((answer, act))
        try:
            return answer.result(within)
        finally:
            answer.cancel()

    def _start_once(self) -> None:
        with self._starting:
            if not self._started:
                threading.Thread(target=self._speak, name="pkcs11", daemon=True).start()
                self._started = True

    def _speak(self) -> None:
        while True:
            answer, act = self._questions.get()
            if not answer.set_running_or_notify_cancel():
                continue
            self._since = time.monotonic()
            try:
                answer.set_result(act())
            except BaseException as problem:  # it belongs to whoever asked
                answer.set_exception(problem)
            self._since = None


# Not per backend: a PKCS#11 module exists once in a process, whoever uses it.
_SPEAKER: Final = _Speaker()


class Pkcs11Backend:
    """Keys of one token. Nothing is opened before the first key is asked for."""

    scheme = "pkcs11"
    prompt = False

    def __init__(self, uri: str, *, answer_within: float = ANSWER_WITHIN) -> None:
        address = _parse(uri)
        self._answer_within = answer_within
        self._module = address["module-path"]
        self._pin_file = Path(address["pin-source"].removeprefix("file:"))
        self._token_label = address.get("token")
        self._token_serial = address.get("serial")
        self._opened: _Session | None = None

    def __repr__(self) -> str:
        return f"Pkcs11Backend(token={self._token_label!r})"

    def generate(self, algorithm: Algorithm, policy: KeyPolicy) -> NewKey:
        """Make a key pair in the module; the handle holds the id of its objects."""
        object_id = secrets.token_bytes(16)
        mechanisms = _MECHANISMS[algorithm.name]
        label = _label(algorithm, policy)

        def make(session: _Session) -> PublicKey:
            pair = mechanisms.generate(session.handle, {"id": object_id, "label": label})
            return mechanisms.public(pair[0])

        public_key = self._attempt(make, _GENERATE_WITHIN)
        return NewKey(thumbprint(jwk_of(public_key)), public_key, _handle(object_id))

    def signer(self, algorithm: Algorithm, kid: str, policy: KeyPolicy, handle: bytes) -> Signer:
        """A signer for the key that is in the module now. Raises `KeyDamaged` when it is not
        there, or was made for another policy."""
        object_id = _object_id(handle, kid)
        sign = _MECHANISMS[algorithm.name].sign

        def signer(message: bytes) -> bytes:
            signature: bytes = self._attempt(
                lambda session: sign(session.private_key(object_id), message)
            )
            return signature

        # Found now rather than at the first signature: a key that is gone is noticed on opening.
        label = self._attempt(lambda session: session.private_key(object_id)[Attribute.LABEL])
        if label != _label(algorithm, policy):
            raise KeyDamaged(f"the key {kid} in the key store was made for another policy")
        return signer

    def destroy(self, kid: str, handle: bytes) -> None:
        """Delete every object of this key from the module; nothing happens when there is none."""
        object_id = _object_id(handle, kid)

        def remove(session: _Session) -> None:
            for found in list(session.handle.get_objects({Attribute.ID: object_id})):
                found.destroy()

        self._attempt(remove)

    def _attempt(self, act: Callable[["_Session"], Any], within: float = 0.0) -> Any:
        """Do it in the thread that speaks to modules."""
        try:
            return _SPEAKER.ask(lambda: self._twice(act), within or self._answer_within)
        except TimeoutError:
            raise self._unavailable("does not answer") from None
        except pkcs11.exceptions.PKCS11Error as problem:
            raise self._unavailable(f"answered {type(problem).__name__}") from None

    def _twice(self, act: Callable[["_Session"], Any]) -> Any:
        """Once more in a new session when the old one was lost."""
        try:
            return act(self._session())
        except _LOST:
            self._opened = None
            pkcs11.lib(self._module).reinitialize()
            return act(self._session())

    def _unavailable(self, what: str) -> KeyStoreUnavailable:
        return KeyStoreUnavailable(
            f"the key store {self._token_label or ''} {what}",
            retry_after=5,
            next_step="check the hardware module; nothing was signed",
        )

    def _session(self) -> "_Session":
        if self._opened is None:
            token = pkcs11.lib(self._module).get_token(**self._wanted())
            self._opened = _Session(self._logged_in(token))
        return self._opened

    def _logged_in(self, token: Any) -> Any:
        """A session; a module knows one login for the whole process."""
        pin = read_secret(self._pin_file, _MAX_PIN).decode().strip()
        try:
            return token.open(rw=True, user_pin=pin)
        except pkcs11.exceptions.UserAlreadyLoggedIn:
            return token.open(rw=True)

    def _wanted(self) -> dict[str, Any]:
        wanted: dict[str, Any] = {}
        if self._token_label is not None:
            wanted["token_label"] = self._token_label
        if self._token_serial is not None:
            wanted["token_serial"] = self._token_serial.encode()
        return wanted


class _Session:
    """An open session and the private keys found in it."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self._found: dict[bytes, Any] = {}

    def private_key(self, object_id: bytes) -> Any:
        key = self._found.get(object_id)
        if key is None:
            template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: object_id}
            keys = list(self.handle.get_objects(template))
            if len(keys) != 1:
                raise KeyDamaged(f"the key store holds {len(keys)} keys of this id, not one")
            key = self._found[object_id] = keys[0]
        return key


def _on_curve(curve: str, key_type: KeyType, mechanism: Mechanism) -> Callable[..., Any]:
    def generate(session: Any, names: Mapping[str, Any]) -> tuple[Any, Any]:
        parameters = session.create_domain_parameters(
            key_type, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
        )
        pair: tuple[Any, Any] = parameters.generate_keypair(
            store=True, mechanism=mechanism, private_template=_PRIVATE, **names
        )
        return pair

    return generate


def _rsa(bits: int) -> Callable[..., Any]:
    def generate(session: Any, names: Mapping[str, Any]) -> tuple[Any, Any]:
        pair: tuple[Any, Any] = session.generate_keypair(
            KeyType.RSA, bits, store=True, private_template=_PRIVATE, **names
        )
        return pair

    return generate


def _p256_public(key: Any) -> PublicKey:
    return load_der_public_key(encode_ec_public_key(key))


def _rsa_public(key: Any) -> PublicKey:
    return load_der_public_key(encode_rsa_public_key(key))


def _ed25519_public(key: Any) -> PublicKey:
    # Modules differ: CKA_EC_POINT is the point, or the point inside a DER OCTET STRING.
    return Ed25519PublicKey.from_public_bytes(key[Attribute.EC_POINT][-32:])


def _ecdsa(key: Any, message: bytes) -> bytes:
    raw: bytes = key.sign(hashlib.sha256(message).digest(), mechanism=Mechanism.ECDSA)
    return der_from_raw(raw)


def _eddsa(key: Any, message: bytes) -> bytes:
    signature: bytes = key.sign(message, mechanism=Mechanism.EDDSA)
    return signature


def _pss(key: Any, message: bytes) -> bytes:
    parameters = (Mechanism.SHA256, MGF.SHA256, 32)
    signature: bytes = key.sign(
        message, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=parameters
    )
    return signature


def _pkcs1(key: Any, message: bytes) -> bytes:
    signature: bytes = key.sign(message, mechanism=Mechanism.SHA256_RSA_PKCS)
    return signature


_P256 = _on_curve("secp256r1", KeyType.EC, Mechanism.EC_KEY_PAIR_GEN)
_ED25519 = _on_curve("1.3.101.112", KeyType.EC_EDWARDS, Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
_MECHANISMS: Final = {
    "ES256": _Mechanisms(_P256, _p256_public, _ecdsa),
    "EdDSA": _Mechanisms(_ED25519, _ed25519_public, _eddsa),
    "PS256": _Mechanisms(_rsa(RSA_BITS["PS256"]), _rsa_public, _pss),
    "RS256": _Mechanisms(_rsa(RSA_BITS["RS256"]), _rsa_public, _pkcs1),
}


def _parse(uri: str) -> dict[str, str]:
    """The attributes of an RFC 7512 URI, all known and percent-decoded."""
    path, _, query = uri.removeprefix("pkcs11:").partition("?")
    attributes = {
        name: unquote(value)
        for name, _, value in (part.partition("=") for part in path.split(";") if part)
    }
    options = dict(parse_qsl(query, keep_blank_values=True))
    if "pin-value" in options:
        raise UnusableBackend(
            "a PIN must not stand in a URI", next_step="use pin-source=file:/path/to/pin"
        )
    unknown = (attributes.keys() - _PATH_ATTRIBUTES) | (options.keys() - _QUERY_ATTRIBUTES)
    missing = _QUERY_ATTRIBUTES - options.keys()
    if unknown or missing or not attributes.keys() & {"token", "serial"}:
        wrong = min(unknown | missing, default="token")
        raise UnusableBackend(
            f"the PKCS#11 URI has an attribute that is unknown or missing: {wrong}",
            next_step="pkcs11:token=NAME?module-path=/path/to/module.so&pin-source=file:/path",
        )
    return attributes | options


def _label(algorithm: Algorithm, policy: KeyPolicy) -> str:
    return f"{policy.mark(algorithm.name)} {policy.use} {policy.version}"[:64]


def _handle(object_id: bytes) -> bytes:
    return f"pkcs11:id={quote(object_id, safe='')};type=private".encode()


def _object_id(handle: bytes, kid: str) -> bytes:
    prefix, _, rest = handle.partition(b"pkcs11:id=")
    encoded, _, kind = rest.partition(b";")
    object_id = unquote_to_bytes(encoded)
    if prefix or kind != b"type=private" or len(object_id) != 16:
        raise KeyDamaged(f"the address of the key {kid} in the key store is not one of ours")
    return object_id
