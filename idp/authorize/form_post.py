"""The answer to an authorization request as a form that sends itself (OAuth 2.0 Form Post §2).

Without script it is a page with one button. The script is a file of ours, because our policy runs
nothing that stands in a page. The policy does not name where the form may go: browsers would apply
that to wherever the client sends the person next. The one form of the page goes to the client, and
nothing of the answer is in an address (RFC 9700 §4.2).

The service that the answer is for may frame the page: a silent renewal (prompt=none) waits in a
frame, and would hear nothing. Nobody else may.
"""

from collections.abc import Iterable
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

from idp.protocol.syntax import origin_of

SCRIPT_PATH: Final = "/oauth/form-post.js"
SCRIPT: Final = b"document.forms[0].requestSubmit();\n"
_NOBODY: Final = "'none'"
_PAGE: Final = """<!doctype html>
<html lang="zh-Hans">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>返回服务 · 返回服務 · Back to the service</title>
<link rel="stylesheet" href="/static/style.css">
<script src="{script}" defer></script>
</head>
<body>
<main class="narrow">
<h1>返回服务 <span lang="zh-Hant">返回服務</span> <span lang="en">Back to the service</span></h1>
<form method="post" action="{action}">
{fields}
<button id="submit" class="button">继续 <span lang="zh-Hant">繼續</span> \
<span lang="en">Continue</span></button>
</form>
</main>
</body>
</html>
"""


def page(redirect_uri: str, parameters: Iterable[tuple[str, str]]) -> HTMLResponse:
    """The page that carries `parameters` to a registered `redirect_uri` (http or https)."""
    fields = "\n".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in parameters
    )
    html = _PAGE.format(script=SCRIPT_PATH, action=escape(redirect_uri), fields=fields)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        f"frame-ancestors {origin_of(redirect_uri) or _NOBODY}; base-uri 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    }
    return HTMLResponse(html, headers=headers)
