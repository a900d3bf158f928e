"""Private keys in another process of this machine, asked over a socket: `unix:/run/…/keys.sock`

- This process never holds a private key, nor the master key that would open one; what it stores as
  `handle` opens only over there.
- The service checks the key's policy and records each use before it answers
  (`keys.custody.socket_service`), so nothing is checked twice here.
- Each thread keeps one connection. A connection that broke since it was last used is replaced once;
  after that, and when no answer comes in time, it is `KeyStoreUnavailable`: nothing was released,
  and asking again is safe. After a silence nobody else waits for a while: they are told at once.
  A service that was restarted is found again without restarting anything.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from keys import errors
from keys.custody import wire
from keys.custody.backends import NewKey, Signer
from keys.encoding.algorithms import Algorithm
from keys.encoding.jose import public_key_of
from keys.errors import KeyDamaged, KeyStoreUnavailable, UnusableBackend
from keys.policy import KeyPolicy, SigningRequest

ANSWER_WITHIN: Final = 5.0
_RETRY_AFTER: Final = 2
_ANSWERS: Final = {
    each.code: each for each in (errors.KeyMayNotSign, errors.OrderRefused, errors.KeyDamaged)
}
_LATER: Final = {
    each.code: each for each in (errors.SigningRateExceeded, errors.KeyStoreUnavailable)
}


class RemoteBackend:
    """The keys of a key service."""

    scheme = "unix"
    prompt = False

    def __init__(
        self,
        uri: str,
        *,
        answer_within: float = ANSWER_WITHIN,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = Path(uri.removeprefix("unix:"))
        if not self._path.is_absolute():
            raise UnusableBackend(
                "a key service has an absolute path", next_step="unix:/run/yinzheng/keys.sock"
            )
        self._answer_within = answer_within
        self._threads = threading.local()
        self._monotonic = monotonic
        self._silent_until = 0.0

    def __repr__(self) -> str:
        return f"RemoteBackend({str(self._path)!r})"

    def generate(self, algorithm: Algorithm, policy: KeyPolicy) -> NewKey:
        """Ask the key service for a new key; the handle is the service's own."""
        made = self._ask(wire.Generate(algorithm.name, policy))
        if not isinstance(made, wire.KeyMade):
            raise _confused()
        return NewKey(made.kid, public_key_of(made.jwk), made.handle)

    def signer(self, algorithm: Algorithm, kid: str, policy: KeyPolicy, handle: bytes) -> Signer:
        """A signer that asks the key service for each message."""

        def sign(message: bytes) -> bytes:
            return self.sign_many(algorithm, kid, policy, handle, [SigningRequest(message)])[0]

        return sign

    def sign_many(
        self,
        algorithm: Algorithm,
        kid: str,
        policy: KeyPolicy,
        handle: bytes,
        requests: Sequence[SigningRequest],
    ) -> list[bytes]:
        """Signatures in order; up to `wire.MAX_BATCH` of them are one question and one record."""
        signatures: list[bytes] = []
        for batch in wire.batches(requests):
            signed = self._ask(wire.Sign(algorithm.name, kid, policy, handle, batch))
            if not isinstance(signed, wire.SignaturesMade) or len(signed.signatures) != len(batch):
                raise _confused()
            signatures += signed.signatures
        return signatures

    def destroy(self, kid: str, handle: bytes) -> None:
        """Ask the key service to make the private key unusable for ever."""
        self._ask(wire.Destroy(kid, handle))

    def _ask(self, question: wire.Question) -> wire.Reply:
        if self._monotonic() < self._silent_until:
            raise _silent(self._path)
        try:
            return self._attempt(question)
        except TimeoutError:
            self._hang_up()
            self._silent_until = self._monotonic() + _RETRY_AFTER
            raise _silent(self._path) from None
        except (OSError, wire.Closed):
            self._hang_up()
            raise _silent(self._path) from None
        except wire.Garbled:
            self._hang_up()
            raise _confused() from None

    def _attempt(self, question: wire.Question) -> wire.Reply:
        """Over the connection that is there; over a new one when it broke meanwhile."""
        line: socket.socket | None = getattr(self._threads, "line", None)
        if line is not None:
            try:
                return _answer(line, question)
            except TimeoutError:
                raise
            except (OSError, wire.Closed):
                self._hang_up()  # the service was restarted
        return _answer(self._connected(), question)

    def _connected(self) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._threads.line = line
        line.settimeout(self._answer_within)
        line.connect(str(self._path))
        return line

    def _hang_up(self) -> None:
        line: socket.socket | None = getattr(self._threads, "line", None)
        self._threads.line = None
        if line is not None:
            line.close()


def _answer(line: socket.socket, question: wire.Question) -> wire.Reply:
    wire.send(line, question)
    reply = wire.read_reply(line)
    if isinstance(reply, wire.Failed):
        raise _raised(reply)
    return reply


def _raised(failed: wire.Failed) -> Exception:
    """The service's error as it would have been raised here."""
    if failed.code == errors.OrderRefused.code and failed.retry_after:
        return errors.OrderUntimely(failed.detail, next_step=failed.next_step)
    if failed.code in _ANSWERS:
        return _ANSWERS[failed.code](failed.detail, next_step=failed.next_step)
    kind = _LATER.get(failed.code, KeyStoreUnavailable)
    retry_after = failed.retry_after or _RETRY_AFTER
    return kind(failed.detail, retry_after=retry_after, next_step=failed.next_step)


def _silent(path: Path) -> KeyStoreUnavailable:
    return KeyStoreUnavailable(
        f"the key service at {path} does not answer",
        retry_after=_RETRY_AFTER,
        next_step="start it again: python -m server keys serve; nothing was signed",
    )


def _confused() -> KeyDamaged:
    return KeyDamaged("the key service answered something else than was asked")
