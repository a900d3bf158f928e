"""Who asks, and may they? Access tokens to actors, the same way in both lanes."""

from collections.abc import Awaitable, Callable

from fastapi import Request

from foundation.actor import Actor
from foundation.batching.routes import ASKER, HotRequest
from foundation.errors import Refused
from idp import Idp
from server.web.middleware import streamed_sha256


class AccessTokens:
    """Implements `foundation.batching.routes.Require` over the identity provider's access
    tokens."""

    def __init__(self, idp: Idp) -> None:
        self._idp = idp

    def __call__(self, *scopes: str) -> Callable[..., Awaitable[Actor]]:
        """A FastAPI dependency that answers who asks, as `hot` does."""

        async def dependency(request: Request) -> Actor:
            content = streamed_sha256(request.scope)
            hot = HotRequest.from_scope(request.scope, content_sha256=content)
            try:
                return await self.hot(hot, *scopes)
            finally:
                request.scope.setdefault("state", {})[ASKER] = hot.asker

        return dependency

    async def hot(self, request: HotRequest, *scopes: str) -> Actor:
        """The actor of a request's access token. Raises `OAuthError` for a token that does not
        count, `Refused` when it lacks one of `scopes`."""
        audience = self._idp.api_audience
        authorized = await self._idp.access.authorize(request, audience=audience)
        if missing := set(scopes) - authorized.scopes:
            raise Refused(
                f"the access token lacks the scope {' '.join(sorted(missing))}",
                next_step="ask for the scope at the token endpoint",
            )
        return authorized.actor
