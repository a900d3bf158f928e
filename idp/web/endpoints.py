"""What happens to tokens after they were issued, as endpoints for programs. They decide nothing.

POST /oauth/introspect    fast lane    RFC 7662, RFC 9701
POST /oauth/revoke        fast lane    RFC 7009
POST /oauth/device        fast lane    RFC 8628; the person's page is the portal's /device
"""

from collections.abc import Mapping

from foundation.batching import (
    HotAnswer,
    HotRequest,
    HotRoute,
    json_answer,
)
from idp.resource import introspection
from idp.service import Idp
from idp.web.rendering import NO_STORE, by_form, route


def hot_routes(idp: Idp) -> list[HotRoute]:
    """The fast-lane endpoints of this file."""

    async def introspect_form(request: HotRequest, form: Mapping[str, str]) -> HotAnswer:
        answer = await idp.introspection.answer(request, form)
        if answer.signed:
            return HotAnswer(200, answer.signed.encode(), introspection.MEDIA_TYPE, NO_STORE)
        told = json_answer(answer.body, headers=NO_STORE)
        idp.introspection.understand(request, answer, told)
        return told

    whole_way = by_form(introspect_form)

    async def introspect(request: HotRequest) -> HotAnswer:
        return await idp.introspection.again(request) or await whole_way(request)

    async def revoke(request: HotRequest, form: Mapping[str, str]) -> HotAnswer:
        await idp.revocations.revoke(request, form)
        return HotAnswer(200, b"", headers=NO_STORE)

    async def device(request: HotRequest, form: Mapping[str, str]) -> HotAnswer:
        return json_answer(await idp.devices.begin(request, form), headers=NO_STORE)

    asked = "Does this token count? (RFC 7662)"
    given_back = "Give a token back (RFC 7009)"
    on_another_screen = "Sign in through another screen (RFC 8628)"
    return [
        route("POST", "/oauth/introspect", introspect, "introspect", asked),
        route("POST", "/oauth/revoke", by_form(revoke), "revoke", given_back),
        route("POST", "/oauth/device", by_form(device), "device", on_another_screen),
    ]
