"""Which backend a URI means. A new kind of custody is one file and one line here."""

from collections.abc import Callable, Mapping
from typing import Final

from keys.custody.backends import Backend
from keys.custody.backends.remote import RemoteBackend
from keys.custody.backends.software import SoftwareBackend
from keys.errors import UnusableBackend


def _software(uri: str, master_key: bytes) -> Backend:
    if uri.removeprefix("software:"):
        raise UnusableBackend("the software key store takes no address", next_step="software:")
    return SoftwareBackend(master_key)


def _pkcs11(uri: str, master_key: bytes) -> Backend:
    try:
        # python-pkcs11 is an extra: whoever has no hardware module needs no compiler for it.
        from keys.custody.backends.pkcs11 import Pkcs11Backend
    except ImportError:
        raise UnusableBackend(
            "python-pkcs11 is not installed", next_step="pip install 'yinzheng[hsm]'"
        ) from None
    return Pkcs11Backend(uri)


def _unix(uri: str, master_key: bytes) -> Backend:
    return RemoteBackend(uri)


_SCHEMES: Final[Mapping[str, Callable[[str, bytes], Backend]]] = {
    "software": _software,
    "pkcs11": _pkcs11,
    "unix": _unix,
}


def open_backend(uri: str, master_key: bytes) -> Backend:
    """The backend of "software:", of an RFC 7512 "pkcs11:…" URI or of "unix:/path".

    Raises `UnusableBackend`.
    """
    scheme = uri.partition(":")[0]
    if scheme not in _SCHEMES:
        known = ", ".join(f"{each}:" for each in _SCHEMES)
        raise UnusableBackend(f"no key store is called {scheme!r}", next_step=f"use {known}")
    return _SCHEMES[scheme](uri, master_key)
