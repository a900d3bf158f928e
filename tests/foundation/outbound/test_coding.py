"""What a body is compressed with is undone, up to a limit, or refused."""

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.outbound.coding import NotDecoded, decoded

TEXT = b'{"keys": []}'
LONGEST = 1_000


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT, mtime=0), "x-gzip"),
        (gzip.compress(TEXT, mtime=0), " GZIP , identity"),
        (gzip.compress(TEXT[:5], mtime=0) + gzip.compress(TEXT[5:], mtime=0), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (bare(TEXT), "deflate"),
    ],
)
def test_known_codings_are_undone(body: bytes, coding: str) -> None:
    assert decoded(body, coding, LONGEST) == TEXT


def test_an_empty_body_is_empty_in_every_coding() -> None:
    assert decoded(b"", "gzip", LONGEST) == b""


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "x"])
def test_any_other_coding_is_refused(coding: str) -> None:
    with pytest.raises(NotDecoded, match="not known here"):
        decoded(gzip.compress(gzip.compress(TEXT, mtime=0)), coding, LONGEST)


@pytest.mark.parametrize(
    ("body", "coding", "reason"),
    [
        (TEXT, "gzip", "not in the coding"),
        (gzip.compress(TEXT, mtime=0) + b"more", "gzip", "not in the coding"),
        (gzip.compress(TEXT, mtime=0)[:-9], "gzip", "too early"),
        (gzip.compress(TEXT, mtime=0)[:-8] + bytes(8), "gzip", "damaged"),
        (zlib.compress(TEXT)[:-1], "deflate", "too early"),
        (zlib.compress(TEXT) + b"more", "deflate", "follows"),
        (b"\xff" * 20, "deflate", "damaged"),
    ],
)
def test_damage_is_named(body: bytes, coding: str, reason: str) -> None:
    with pytest.raises(NotDecoded, match=reason):
        decoded(body, coding, LONGEST)


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]))
def test_anything_is_decoded_or_refused(body: bytes, coding: str) -> None:
    with suppress(NotDecoded):
        assert len(decoded(body, coding, LONGEST)) <= LONGEST
