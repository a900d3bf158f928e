"""How random secrets of ours are stored."""

import hashlib


def sha256(value: str) -> str:
    """How a random secret of ours is stored and looked up (64 hexadecimal characters)."""
    return hashlib.sha256(value.encode()).hexdigest()
