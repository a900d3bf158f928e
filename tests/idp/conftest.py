"""The fixtures live in `fixtures`, because the attack tests use them too."""

from tests.idp.fixtures import app, client, http, idp, runner, world

__all__ = ["app", "client", "http", "idp", "runner", "world"]
