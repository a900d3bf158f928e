"""One file per grant type: how a request at the token endpoint becomes a `Grant`.

Each file holds a pure `check` (is the request well formed, may this client ask it?), a pure
`judge` where stored state has a say, and a `redeem` that applies the verdict to a whole batch in
one transaction. Nothing here knows HTTP. A new grant type is one file and one line in `Idp`.
"""

from collections.abc import Mapping

from idp.protocol.errors import InvalidRequest


def parameter(form: Mapping[str, str], name: str) -> str:
    """A required parameter; absent and empty are the same (RFC 6749 §3.2)."""
    value = form.get(name, "")
    if not value:
        raise InvalidRequest(f"{name} is missing")
    return value
