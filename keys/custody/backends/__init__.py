"""Where private keys are kept. A backend makes a key and signs with it; nothing else comes out.

A new kind of custody is one file here with the three methods of `Backend`. What a backend returns
as `handle` is stored beside the key and is worthless without the backend: an encrypted envelope
(`software`), the address of an object in a hardware module (`pkcs11`), or either of them as a key
service holds it (`unix`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from keys.encoding.algorithms import Algorithm, PublicKey
from keys.policy import KeyPolicy, SigningRequest

# Signs one whole message, in X.509/CMS form.
Signer = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; `kid` is its RFC 7638 thumbprint."""

    kid: str
    public_key: PublicKey
    handle: bytes = field(repr=False)


class Backend(Protocol):
    """Custody of private keys.

    `scheme` names the backend in the keys table; a key is only ever opened by the backend that made
    it. `prompt`: its signatures are made in this very process and need not be waited for. `signer`
    may be slow (it opens the key) and its result is cached by the caller; it raises
    `KeyDamaged` when the handle was not made by this backend for this `kid` under this policy: what
    a key may do is bound to its private half.
    """

    @property
    def scheme(self) -> str:
        """The scheme of the URI that selects this key store, such as "software" or "pkcs11"."""

    @property
    def prompt(self) -> bool:
        """Whether signatures are made in this process and need not be waited for."""

    def generate(self, algorithm: Algorithm, policy: KeyPolicy) -> NewKey:
        """Make a key pair whose private half is bound to this algorithm and policy."""

    def signer(self, algorithm: Algorithm, kid: str, policy: KeyPolicy, handle: bytes) -> Signer:
        """The function that signs messages with this key. Raises `KeyDamaged`."""

    def destroy(self, kid: str, handle: bytes) -> None:
        """Make the private key unusable for ever, where the handle alone does not decide that."""


@runtime_checkable
class PolicyCheckingBackend(Protocol):
    """A store that checks policies and records uses itself (a key service)."""

    def sign_many(
        self,
        algorithm: Algorithm,
        kid: str,
        policy: KeyPolicy,
        handle: bytes,
        requests: Sequence[SigningRequest],
    ) -> list[bytes]:
        """Sign all requests with one key, or none; signatures in the order of the
        requests."""
