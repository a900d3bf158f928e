"""Who uses the service from outside, over HTTP and nothing else: a browser and a client program.

The demo and the journey tests are driven by these. They know what any visitor knows: addresses,
forms as they were drawn, the standards. They never import a package below.

    browser = Browser("http://localhost:8000")
    page = browser.open("/signin").send("/signin", {"username": "chen", "password": "…"})
    program = Program("http://localhost:8000", "shili-bank", secret)
    program.verify({"number": "JY…", "purpose": "loan-application", "legal_basis": "…", …})
"""

import base64
import hashlib
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import jwt
import typst
from cryptography.hazmat.primitives.asymmetric import ec

from server import strangers

Typed = Mapping[str, str | Sequence[str]]  # by field name; several values for ticked boxes
PROOF_ASKED = 30  # times; the service waits a second for the proof at each
_PICTURE_OF = '#set page(width: auto, height: auto, margin: 0pt)\n#image("page.pdf")'


class Surprise(Exception):
    """The service did not answer as a visitor may expect; the sentence says what came instead."""


@dataclass(slots=True)
class PageForm:
    """A form as it stands in a page: where it goes, and what its fields hold already."""

    action: str
    values: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    """Reads the forms, the links and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.boxes: list[str] = []
        self.onward = ""
        self.tone = ""
        self._select = ""
        self._area = ""
        self._silent = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        name, value = has.get("name", ""), has.get("value", "")
        self._silent = tag in {"script", "style"}
        if tag == "form":
            self.forms.append(PageForm(has.get("action", "")))
        elif tag == "section" and has.get("class", "").startswith("verdict "):
            self.tone = has["class"].partition(" ")[2]
        elif tag == "a":
            self.links.append(has.get("href", ""))
            if has.get("rel") == "next":
                self.onward = has["href"]
        elif self.forms and name:
            self._control(tag, name, value, has)
        elif tag == "option" and self._select and "selected" in has:
            self.forms[-1].values[self._select] = value

    def handle_endtag(self, tag: str) -> None:
        self._silent = False
        if tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1].values[self._area] += data
        if not self._silent and data.strip():
            self.words.append(" ".join(data.split()))

    def _control(self, tag: str, name: str, value: str, has: Mapping[str, str]) -> None:
        form, kind = self.forms[-1], has.get("type", "text")
        if tag == "button":
            form.buttons.append((name, value))
        elif tag == "select":
            self._select = name
        elif tag == "textarea":
            self._area = name
            form.values[name] = ""
        elif kind == "checkbox" and "checked" not in has:
            self.boxes.append(value)
        elif kind != "radio" or "checked" in has:
            form.values[name] = value


class ReceivedPage:
    """One page that a browser received."""

    def __init__(self, browser: "Browser", response: httpx.Response) -> None:
        reader = _Reader()
        if "html" in response.headers.get("content-type", ""):
            reader.feed(response.text)
        self._browser = browser
        self.response = response
        self.status = response.status_code
        self.path = response.url.path
        self.forms = reader.forms
        self.links = reader.links
        self.onward = reader.onward  # the link to the next page of a list
        self.boxes = reader.boxes  # the values of boxes that are not ticked
        self.text = " ".join(reader.words)
        self.tone = reader.tone  # of a verdict: good, care, bad or plain
        # Where the browser was sent when that is not this site any more (a client's callback).
        self.left_for = response.headers.get("location", "")

    def form(self, action: str) -> PageForm:
        """The form that posts to an address beginning with `action`."""
        for form in self.forms:
            if form.action.startswith(action):
                return form
        raise Surprise(f"{self.path} answered {self.status} without a form to {action}")

    def send(
        self, action: str, typed: Typed, files: Mapping[str, Any] | None = None
    ) -> "ReceivedPage":
        """Fill the form in and send it; what was not typed keeps what the page put there."""
        form = self.form(action)
        return self._browser.post(form.action, {**form.values, **typed}, files)

    def link(self, beginning: str) -> str:
        """The first link to an address that begins so. Raises `Surprise`."""
        for link in self.links:
            if link.startswith(beginning):
                return link
        raise Surprise(f"{self.path} has no link to {beginning}…")


class Browser:
    """A person's browser: it keeps cookies, follows redirects on this site, and fills forms in."""

    def __init__(self, origin: str, language: str = "en") -> None:
        headers = {"accept-language": language}
        self.client = httpx.Client(base_url=origin, headers=headers, timeout=30)
        self._origin = urlsplit(origin).netloc

    def open(self, path: str, **query: str) -> ReceivedPage:
        """Fetch a page, with `query` behind its path."""
        return self._follow(self.client.get(path, params=query or None))

    def post(
        self, path: str, values: Typed, files: Mapping[str, Any] | None = None
    ) -> ReceivedPage:
        """Send values (and files) as a form would, and follow to the page that answers."""
        return self._follow(self.client.post(path, data=dict(values), files=files))

    def download(self, path: str) -> bytes:
        """The bytes of a file. Raises `Surprise`."""
        response = self.client.get(path)
        if response.status_code != 200:
            raise Surprise(f"{path} answered {response.status_code}")
        return response.content

    def sign_in(self, username: str, password: str) -> ReceivedPage:
        """Through the sign-in page. Raises `Surprise` when it shows itself again."""
        page = self.open("/signin").send("/signin", {"username": username, "password": password})
        if page.path.startswith("/signin"):
            raise Surprise(f"{username} could not sign in: {page.text[:200]}")
        return page

    def close(self) -> None:
        """Close the connections that were kept open."""
        self.client.close()

    def _follow(self, response: httpx.Response) -> ReceivedPage:
        while response.status_code in {302, 303}:
            target = urljoin(str(response.url), response.headers["location"])
            if urlsplit(target).netloc != self._origin:
                break
            response = self.client.get(target)
        return ReceivedPage(self, response)


@dataclass(frozen=True, slots=True)
class RelyingPartySession:
    """What a relying party holds after a sign-in: checked ID token claims and the tokens."""

    claims: Mapping[str, Any]
    access_token: str
    refresh_token: str


class ProofKey:
    """An app's own key: its tokens work only with a proof made by it (RFC 9449)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._nonce = ""

    def send(
        self, client: httpx.Client, method: str, path: str, token: str = "", **options: Any
    ) -> httpx.Response:
        """Send a request with a proof; asked for the server's nonce, make one more (§8)."""
        for _ in range(2):
            proof = self._proof(method, str(client.base_url.join(path)), token)
            headers = {"dpop": proof, **({"authorization": f"DPoP {token}"} if token else {})}
            response = client.request(method, path, headers=headers, **options)
            self._nonce = response.headers.get("dpop-nonce", self._nonce)
            if response.status_code not in (400, 401):
                break
        return response

    def _proof(self, method: str, url: str, token: str) -> str:
        claims: dict[str, Any] = {"htm": method, "htu": url, "iat": int(time.time())}
        claims["jti"] = secrets.token_urlsafe(16)
        if self._nonce:
            claims["nonce"] = self._nonce
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        jwk = algorithm.to_jwk(self._key.public_key(), as_dict=True)
        return jwt.encode(claims, self._key, "ES256", {"typ": "dpop+jwt", "jwk": jwk})


class RelyingParty:
    """A public client that signs people in: code, PKCE, DPoP (RFC 6749, RFC 7636, RFC 9449)."""

    def __init__(self, issuer: str, client_id: str, redirect_uri: str, scope: str) -> None:
        self.client = httpx.Client(base_url=issuer, timeout=30)
        self.key = ProofKey()
        self.issuer, self.client_id = issuer, client_id
        self.redirect_uri, self.scope = redirect_uri, scope

    def sign_in(self, browser: Browser, username: str, password: str) -> RelyingPartySession:
        """Walk the person's browser through sign-in and consent to everything; redeem the code."""
        verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        digest = hashlib.sha256(verifier.encode()).digest()
        page = browser.open(
            "/oauth/authorize",
            response_type="code",
            client_id=self.client_id,
            redirect_uri=self.redirect_uri,
            scope=self.scope,
            state=state,
            nonce=nonce,
            code_challenge=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            code_challenge_method="S256",
        )
        if page.path.startswith("/signin/"):
            page = page.send("/signin/", {"username": username, "password": password})
        if page.path.startswith("/consent/"):
            page = page.send("/consent/", {"decision": "allow", "claim": page.boxes})
        answer = parse_qs(urlsplit(page.left_for).query)
        if answer.get("state") != [state] or answer.get("iss") != [self.issuer]:
            raise Surprise(f"the browser did not come back: {page.path} {page.status}")
        return self._redeem(answer["code"][0], verifier, nonce)

    def userinfo(self, access_token: str) -> dict[str, Any]:
        """The answer of the userinfo endpoint, whatever its status."""
        response = self.key.send(self.client, "GET", "/oauth/userinfo", access_token)
        answer: dict[str, Any] = response.json()
        return answer

    def close(self) -> None:
        """Close the connections that were kept open."""
        self.client.close()

    def _redeem(self, code: str, verifier: str, nonce: str) -> RelyingPartySession:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": verifier,
        }
        response = self.key.send(self.client, "POST", "/oauth/token", data=form)
        if response.status_code != 200:
            raise Surprise(f"the token endpoint answered {response.text[:200]}")
        tokens = response.json()
        claims = self._check_id_token(tokens["id_token"])
        if claims.get("nonce") != nonce:
            raise Surprise("the ID token does not carry our nonce")
        return RelyingPartySession(claims, tokens["access_token"], tokens.get("refresh_token", ""))

    def _check_id_token(self, token: str) -> Mapping[str, Any]:
        """With another library than the one that made it (OIDC Core §3.1.3.7)."""
        keys = strangers.published(lambda address: self.client.get(address).json())
        return strangers.read(token, keys, typ="JWT", issuer=self.issuer, audience=self.client_id)


class Program:
    """A department's program: it has a secret, asks for tokens, and verifies certificates."""

    def __init__(self, origin: str, client_id: str, secret: str) -> None:
        self.client = httpx.Client(base_url=origin, timeout=60)
        self.token = self._get_token(client_id, secret)
        self.client.headers["authorization"] = f"Bearer {self.token}"

    def verify(self, asked: Mapping[str, str], document: bytes = b"") -> dict[str, Any]:
        """POST /api/v1/verifications. Raises `Surprise` for anything but a verdict."""
        file = {"document": base64.b64encode(document).decode()} if document else {}
        response = self.client.post("/api/v1/verifications", json={**asked, **file})
        if response.status_code != 200:
            raise Surprise(f"the verification was refused: {response.text[:300]}")
        verdict: dict[str, Any] = response.json()
        return verdict

    def purposes(self) -> list[dict[str, Any]]:
        """What this department may ask, and on which legal bases."""
        items: list[dict[str, Any]] = self.client.get("/api/v1/purposes").json()["items"]
        return items

    def receipt_file(self, receipt_id: str) -> bytes:
        """The receipt to keep, once the log has taken it in."""
        for _ in range(PROOF_ASKED):
            response = self.client.get(f"/api/v1/receipts/{receipt_id}", params={"wait": "proof"})
            if all(each["proof"] for each in response.raise_for_status().json()["entries"]):
                break
        return response.content

    def read_signed(self, text: str, typ: str) -> Mapping[str, Any]:
        """The claims of what the service signed, read with the keys that it publishes."""
        keys = strangers.published(lambda address: self.client.get(address).json())
        issuer = str(self.client.base_url).rstrip("/")
        return strangers.read(text, keys, typ=typ, issuer=issuer)

    def close(self) -> None:
        """Close the connections that were kept open."""
        self.client.close()

    def _get_token(self, client_id: str, secret: str) -> str:
        response = self.client.post(
            "/oauth/token",
            data={"grant_type": "client_credentials", "scope": "certificates.verify"},
            auth=(client_id, secret),
        )
        if response.status_code != 200:
            raise Surprise(f"{client_id} got no token: {response.text[:200]}")
        return str(response.json()["access_token"])


def photograph(pdf: bytes, ppi: float = 110) -> bytes:
    """A picture (PNG) of the first page, as somebody would photograph it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "page.pdf").write_bytes(pdf)
        Path(folder, "photo.typ").write_text(_PICTURE_OF)
        picture = typst.compile(Path(folder, "photo.typ"), root=Path(folder), format="png", ppi=ppi)
    if not isinstance(picture, bytes):
        raise Surprise("the certificate has more than one page")
    return picture
