"""The whole house over real sockets, a person who drives its pages, and clients others wrote."""

import asyncio
import fcntl
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from foundation.actor import SYSTEM
from idp import Client, Person
from server.assembly import Installation
from server.settings import Settings
from tests.conftest import CI

HERE = Path(__file__).parent
PASSWORD = "correct horse battery staple"
REDIRECT_URI = "https://food.example.gov.cn/callback"
PURPOSE = {"zh-Hans": "办理食品经营许可", "zh-Hant": "辦理食品經營許可", "en": "Food licences"}


@pytest.fixture(scope="session")
def packages() -> Path:
    """`node_modules` exactly as the lock says; installed once."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".lock.sha256"
    with (HERE / "package.json").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300)
            if done.returncode:
                why = f"npm ci in tests/clients failed (is a registry in reach?): {done.stderr}"
                (pytest.fail if CI else pytest.skip)(why[-600:])
            stamp.write_text(wanted)
    return HERE / "node_modules"


class Site:
    """A house that really listens, on a port of its own."""

    def __init__(self, folder: Path, public_url: str = "", **settings: Any) -> None:
        config = uvicorn.Config(lambda: None, port=0, lifespan="off", log_level="error")
        self._socket = config.bind_socket()
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.issuer = public_url or self.address
        self.house = Installation(Settings(data_dir=folder, public_url=self.issuer, **settings))
        config.app = self.house.app()
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        add = self.house.idp.people.add
        self.chen: Person = add("chen-jingyi", "陈静怡", PASSWORD, by=SYSTEM)

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def client(self, client_id: str, **changes: Any) -> dict[str, Any]:
        """Register a client; answers what its program needs to know."""
        fields: dict[str, Any] = {
            "client_id": client_id,
            "name": PURPOSE,
            "purpose": PURPOSE,
            "organisation": "11990000MB1A0001XX",
            "organisation_name": "示例市市场监督管理局",
            "profile": "standard",
            "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": (REDIRECT_URI,),
            "grant_types": ("authorization_code", "refresh_token", "client_credentials"),
            "scopes": ("openid", "profile", "offline_access", "verifications"),
            "claims": ("name", "preferred_username", "locale"),
            **changes,
        }
        made = self.house.idp.clients.add(Client(**fields), by=SYSTEM)
        known = {"issuer": self.issuer, "client_id": client_id, "redirect_uri": REDIRECT_URI}
        return known | ({"client_secret": made.client_secret} if made.client_secret else {})

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self.house.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("house"))
    yield site
    site.stop()


class Visitor:
    """A person with a browser that has no JavaScript: it reads forms, fills them in, sends them."""

    def __init__(self, site: Site, username: str = "chen-jingyi") -> None:
        self._http = httpx.Client(base_url=site.issuer, trust_env=False)
        self._issuer = site.issuer
        self._username = username

    def visit(self, url: str) -> str:
        """Go where the pages lead; answers the first address that is not ours."""
        answer = self._http.get(url)
        for _ in range(12):
            if answer.is_redirect:
                place = urljoin(str(answer.url), answer.headers["location"])
                if not place.startswith(self._issuer):
                    return place
                answer = self._http.get(place)
                continue
            assert answer.status_code == 200, answer.text[:2000]
            form = Forms.of(answer.text)[-1]
            filled = {**self._fill(form.fields), **form.boxes}  # a person who ticks every box
            answer = self._http.post(form.action, data=filled, headers=self._here)
        raise AssertionError("the pages lead nowhere")

    @property
    def _here(self) -> dict[str, str]:
        return {"origin": self._issuer, "sec-fetch-site": "same-origin"}

    def _fill(self, fields: Mapping[str, str]) -> dict[str, str]:
        mine = {"username": self._username, "password": PASSWORD, "decision": "allow"}
        return {name: mine.get(name, value) for name, value in fields.items()}


class Forms(HTMLParser):
    """The forms of a page: where they go and what is in them already."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Forms.Form] = []

    class Form:
        def __init__(self, action: str) -> None:
            self.action = action
            self.fields: dict[str, str] = {}
            self.boxes: dict[str, list[str]] = {}

    @classmethod
    def of(cls, page: str) -> "list[Forms.Form]":
        parser = cls()
        parser.feed(page)
        return [form for form in parser.found if form.action]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Forms.Form(given.get("action", "")))
        elif tag in ("input", "button") and "name" in given and self.found:
            name, value = given["name"], given.get("value", "")
            if given.get("type") == "checkbox":
                self.found[-1].boxes.setdefault(name, []).append(value)
            else:
                self.found[-1].fields.setdefault(name, value)


class Flows:
    """Runs a flow of `flows.mjs` and lends it a person."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def run(self, name: str, config: Mapping[str, Any], person: Any = None) -> Any:
        """The flow's result. `person` answers what the flow says; a browser, unless told else."""
        command = ("node", "flows.mjs", name)
        with subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as node:
            assert node.stdin is not None
            assert node.stdout is not None
            answer = json.dumps(config)
            while True:
                node.stdin.write(answer + "\n")
                node.stdin.flush()
                line = node.stdout.readline()
                assert line, f"{name} ended without a result"
                said = json.loads(line)
                if "result" in said:
                    return said["result"]
                assert "error" not in said, said
                answer = self._answer(said, person)

    def _answer(self, said: Mapping[str, Any], person: Any) -> str:
        if "visit" in said:
            return Visitor(self._site).visit(said["visit"])
        return json.dumps(person(said["say"]))


@pytest.fixture
def flows(packages: Path, site: Site) -> Flows:
    return Flows(site)


def key_pair(kid: str, **more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A P-256 key as private and public JWK."""
    key = ECKey.import_key(ec.generate_private_key(ec.SECP256R1()))
    private = {**key.as_dict(private=True), "kid": kid, **more}
    return private, {**key.as_dict(private=False), "kid": kid, **more}
