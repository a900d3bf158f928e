"""What a key service and its callers say to each other over a Unix socket.

A frame is four bytes of length (big-endian) and one msgspec message in MessagePack: a tagged struct
of known fields. A frame too long, a message unknown or a batch too large ends the connection. What
is to be signed travels whole: the service computes the digest that it records, so the record tells
what was signed and not what a caller said it was.
"""

import socket
import struct
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

import msgspec

from keys.policy import KeyPolicy, SigningRequest

MAX_FRAME: Final = 4 * 1024 * 1024
MAX_BATCH: Final = 500
_LENGTH: Final = struct.Struct(">I")

_Name = Annotated[str, msgspec.Meta(max_length=64)]
_Handle = Annotated[bytes, msgspec.Meta(max_length=8_192)]


class Generate(msgspec.Struct, tag="generate", frozen=True, forbid_unknown_fields=True):
    """Make a key that is bound to this policy."""

    algorithm: _Name
    policy: KeyPolicy


class Sign(msgspec.Struct, tag="sign", frozen=True, forbid_unknown_fields=True):
    """Sign all of these with one key, or none."""

    algorithm: _Name
    kid: _Name
    policy: KeyPolicy
    handle: _Handle
    requests: Annotated[list[SigningRequest], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class Destroy(msgspec.Struct, tag="destroy", frozen=True, forbid_unknown_fields=True):
    """Make a private key unusable for ever."""

    kid: _Name
    handle: _Handle


class KeyMade(msgspec.Struct, tag="made", frozen=True):
    """The answer to `Generate`: the public half as a JWK, and the handle to ask for signatures
    with."""

    kid: str
    jwk: dict[str, str]
    handle: bytes


class SignaturesMade(msgspec.Struct, tag="signed", frozen=True):
    """The answer to `Sign`: one signature for each request, in their order."""

    signatures: list[bytes]


class Done(msgspec.Struct, tag="done", frozen=True):
    """The answer to `Destroy`."""


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """An error of ours, to be raised again by the caller."""

    code: str
    detail: str
    next_step: str = ""
    retry_after: int = 0


Question = Generate | Sign | Destroy
Reply = KeyMade | SignaturesMade | Done | Failed

_encode = msgspec.msgpack.Encoder().encode
_question: Final[msgspec.msgpack.Decoder[Question]] = msgspec.msgpack.Decoder(Question)
_reply: Final[msgspec.msgpack.Decoder[Reply]] = msgspec.msgpack.Decoder(Reply)
_T = TypeVar("_T")


class Closed(Exception):
    """The other side hung up, at a boundary or in the middle of a frame."""


class Garbled(Exception):
    """What came is not a message of ours; the connection is of no more use."""


def send(line: socket.socket, message: Question | Reply) -> None:
    """One frame. Raises `OSError`."""
    body = _encode(message)
    line.sendall(_LENGTH.pack(len(body)) + body)


def read_question(line: socket.socket) -> Question:
    """Raises `Closed`, `Garbled`, `OSError`."""
    return _decoded(_question, _frame(line))


def read_reply(line: socket.socket) -> Reply:
    """Raises `Closed`, `Garbled`, `OSError`."""
    return _decoded(_reply, _frame(line))


def batches(requests: Sequence[SigningRequest]) -> list[list[SigningRequest]]:
    """As many requests as one message takes."""
    return [list(requests[at : at + MAX_BATCH]) for at in range(0, len(requests), MAX_BATCH)]


def _decoded(decoder: msgspec.msgpack.Decoder[_T], frame: bytes) -> _T:
    try:
        return decoder.decode(frame)
    except msgspec.MsgspecError as problem:
        raise Garbled(str(problem)) from None


def _frame(line: socket.socket) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(line, _LENGTH.size))
    if not 0 < length <= MAX_FRAME:
        raise Garbled(f"a frame of {length} bytes")
    return _exactly(line, length)


def _exactly(line: socket.socket, wanted: int) -> bytes:
    parts = bytearray()
    while len(parts) < wanted:
        part = line.recv(min(wanted - len(parts), 65_536))
        if not part:
            raise Closed
        parts += part
    return bytes(parts)
