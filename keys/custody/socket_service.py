"""The key service: private keys in a process of their own, behind a Unix socket.

    python -m server keys serve --socket /run/yinzheng/keys.sock        (the only holder of keys)
    YINZHENG_KEY_STORE=unix:/run/yinzheng/keys.sock                     (web processes and workers)

- The socket belongs to one user (mode 0600), and the kernel says who calls (SO_PEERCRED): anybody
  else is hung up on.
- Per question: the key opens only under the policy it was made with, the policy allows, the use is
  committed to the record, and then the signature leaves. A process killed in between has released
  nothing.
- What was destroyed here stays destroyed, although a backup elsewhere still has its handle.
- A caller gets an error of ours or none: what goes wrong inside becomes "not available", and the
  cause stays in the log of this process.
"""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from foundation.bounded import Bounded
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import YinzhengError
from keys.custody import store, wire
from keys.custody.backends import Backend
from keys.custody.signing_policy import OpenedKey, SigningPolicy
from keys.encoding.algorithms import ALGORITHMS, Algorithm
from keys.encoding.jose import jwk_of
from keys.errors import KeyDamaged, KeyMayNotSign, KeyStoreUnavailable, UnusableBackend

_CAPACITY: Final = 10_000
_CALLERS: Final = 256
_FRAME_WITHIN: Final = 10.0
_PEER: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid

log = structlog.get_logger("keys")


class KeyService:
    """Answers questions about the keys of `backends`; the first one makes new keys."""

    def __init__(self, database: Database, backends: Sequence[Backend], clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._signing_policy = SigningPolicy(database, clock)
        self._backend = backends[0]
        self._backends = {each.scheme: each for each in backends}
        self._opened: Bounded[tuple[object, ...], OpenedKey] = Bounded(_CAPACITY)

    def answer(self, question: wire.Question) -> wire.Reply:
        """Never raises: an error of ours is an answer too."""
        try:
            match question:
                case wire.Sign():
                    return wire.SignaturesMade(
                        self._signing_policy.sign(self._open(question), question.requests)
                    )
                case wire.Generate():
                    return self._made(question)
                case wire.Destroy():
                    return self._destroyed(question)
        except YinzhengError as problem:
            retry_after = int(problem.params.get("retry_after", "0"))
            return wire.Failed(problem.code, problem.detail, problem.next_step, retry_after)
        except Exception as failure:
            log.error("question_failed", failure=type(failure).__name__)
            return wire.Failed(
                KeyStoreUnavailable.code, "the key service cannot answer now", retry_after=5
            )

    def _made(self, question: wire.Generate) -> wire.KeyMade:
        new = self._backend.generate(_algorithm(question.algorithm), question.policy)
        handle = self._backend.scheme.encode() + b"\0" + new.handle
        return wire.KeyMade(new.kid, jwk_of(new.public_key), handle)

    def _destroyed(self, question: wire.Destroy) -> wire.Done:
        backend, handle = self._located(question.handle)
        with self._database.write() as tx:
            store.note_destroyed(tx, self._database, question.kid, self._clock())
        self._opened.clear()
        backend.destroy(question.kid, handle)
        return wire.Done()

    def _open(self, question: wire.Sign) -> OpenedKey:
        name = (question.algorithm, question.kid, question.policy, question.handle)
        return self._opened.get(name) or self._opened.put(name, self._newly_opened(question))

    def _newly_opened(self, question: wire.Sign) -> OpenedKey:
        backend, handle = self._located(question.handle)
        row = _algorithm(question.algorithm)
        with self._database.read() as tx:
            if store.is_destroyed(tx, question.kid):
                raise KeyMayNotSign(f"the key {question.kid} was destroyed")
        sign = backend.signer(row, question.kid, question.policy, handle)
        return OpenedKey(question.kid, question.policy, sign)

    def _located(self, handle: bytes) -> tuple[Backend, bytes]:
        scheme, _, inner = handle.partition(b"\0")
        backend = self._backends.get(scheme.decode("latin-1"))
        if backend is None:
            raise KeyDamaged("the key is in a store that this key service does not have")
        return backend, inner


class SocketServer:
    """Listens at `path` for one user (`uid`, by default this process's own)."""

    def __init__(self, service: KeyService, path: Path, *, uid: int | None = None) -> None:
        self._service = service
        self._path = path
        self._uid = os.geteuid() if uid is None else uid
        self._slots = threading.BoundedSemaphore(_CALLERS)
        self._stopping = threading.Event()
        self._listener = _listen(path, self._uid)

    def serve(self) -> None:
        """Answer until `stop`; each caller has a thread."""
        while not self._stopping.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                break
            if not self._slots.acquire(blocking=False):
                line.close()
                continue
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def stop(self) -> None:
        """Take no more callers and remove the socket; safe in a signal handler."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._path.unlink()
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, line: socket.socket) -> None:
        try:
            with line:
                if _caller(line) == self._uid:
                    self._talk(line)
                else:
                    log.warning("caller_refused", uid=_caller(line))
        except (OSError, wire.Closed):
            pass
        except wire.Garbled:
            log.warning("caller_garbled")
        finally:
            self._slots.release()

    def _talk(self, line: socket.socket) -> None:
        while not self._stopping.is_set():
            line.settimeout(None)
            line.recv(1, socket.MSG_PEEK)  # a caller may rest between questions, not inside one
            line.settimeout(_FRAME_WITHIN)
            wire.send(line, self._service.answer(wire.read_question(line)))


def _algorithm(name: str) -> Algorithm:
    row = ALGORITHMS.get(name)
    if row is None:
        raise KeyDamaged(f"no key here is for {name}")
    return row


def _caller(line: socket.socket) -> int:
    """The user id of the process at the other end, as the kernel knows it."""
    _, uid, _ = _PEER.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)


def _listen(path: Path, uid: int) -> socket.socket:
    """A socket that only `uid` can reach; a file left by a killed process is replaced."""
    _remove_dead(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # never open to others, not even for a moment
    try:
        listener.bind(str(path))
        if uid != os.geteuid():
            os.chown(path, uid, -1)
    except OSError as problem:
        raise UnusableBackend(
            f"the key service cannot listen at {path}: {problem.strerror}",
            next_step="choose a folder that this user may write",
        ) from None
    finally:
        os.umask(before)
    listener.listen(_CALLERS)
    return listener


def _remove_dead(path: Path) -> None:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            if path.is_socket():
                path.unlink()
        except OSError:
            pass
        else:
            raise UnusableBackend(
                f"a key service already answers at {path}", next_step="stop it first"
            )
