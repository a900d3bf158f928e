"""Who touches a private key: everybody who does is in this folder.

backends/        where private halves are kept: encrypted envelopes, hardware, a key service
key_stores       makes keys and signs with them; the only caller of a backend
signing_policy   checks beside the key what it may do, and records each use before it happens
rules            when a key changes state: staged → active → retiring → retired
store            the tables of keys, and the questions asked of them
socket_service   the key service: private keys in a process of their own
wire             what is said to a key service over its socket
"""

from keys.custody.backends.selection import (
    open_backend,
)
from keys.custody.backends.software import (
    SoftwareBackend,
    load_master_key,
)
from keys.custody.socket_service import (
    KeyService,
    SocketServer,
)

__all__ = [
    "KeyService",
    "SocketServer",
    "SoftwareBackend",
    "load_master_key",
    "open_backend",
]
