"""Secrets in files: a master key, a PIN. Read only when nobody else can read or write them."""

import os
import stat
from pathlib import Path

from keys.errors import UnsafeSecretFile


def read_secret(path: Path, limit: int) -> bytes:
    """The content of a secret file, at most `limit` bytes. Raises `UnsafeSecretFile`.

    The file must belong to its reader alone (mode 0600 or stricter), or be a secret that nobody
    may write, as platforms mount them (0444, 0440).
    """
    try:
        with path.open("rb") as file:
            _check_mode(path, os.fstat(file.fileno()).st_mode)
            content = file.read(limit + 1)
    except OSError as problem:
        raise UnsafeSecretFile(
            f"the secret file {path} cannot be read: {problem.strerror}",
            next_step="name the file that this installation was set up with",
        ) from None
    if len(content) > limit:
        raise UnsafeSecretFile(f"the secret file {path} is too long to be one")
    return content


def _check_mode(path: Path, mode: int) -> None:
    shared = mode & (stat.S_IRWXG | stat.S_IRWXO)
    writable = mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    if shared and writable:
        raise UnsafeSecretFile(
            f"the secret file {path} is open to others", next_step=f"chmod 600 {path}"
        )
