"""What the tests of whole programs share: a program that listens, and a person between it and us.

A program is a service of its own on `localhost`, configured with issuer, id, secret and redirect
URI as its users begin. The issuer is at http://127.0.0.1, so a person's cookies of the two do not
mix; http and loopback are the test's transport and nothing a service would have.
"""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from sqlalchemy import select, update

from idp.models import people
from ledger.entries import read_leaf
from ledger.models import ledger_outbox
from tests.clients.conftest import Forms, Site, Visitor
from tests.simulators.office import free_port

EMAIL = "chen@example.gov.cn"
OLDEST_GO = (1, 24)
NOT_HERE = ("dial tcp", "requires go", "toolchain not available")  # nothing that we could mend
PATIENCE = 90.0  # seconds: a Java program starts in five, on a busy machine in thirty


class Citizen(Visitor):
    """A person who goes back and forth between a program and our pages, without JavaScript."""

    def __init__(self, site: Site, username: str = "chen-jingyi") -> None:
        super().__init__(site, username)
        self.browser = httpx.Client(trust_env=False, timeout=30)
        self.seen: list[str] = []

    def open(self, url: str) -> httpx.Response:
        """The program's answer at the end of every redirect, ours included."""
        self.seen = [url]
        if url.startswith(self._issuer):
            url = self._visited(url)
        return self._followed(self.browser.get(url))

    def submit(self, page: httpx.Response) -> httpx.Response:
        """Send the first form of a program's page as it stands; the answer at the end."""
        forms = Forms()
        forms.feed(page.text)
        form = forms.found[0]  # one without an action goes to the page's own address
        self.seen = [place := urljoin(str(page.url), form.action)]
        return self._followed(self.browser.post(place, data=form.fields))

    def _followed(self, answer: httpx.Response) -> httpx.Response:
        for _ in range(12):
            if not answer.is_redirect:
                return answer
            place = urljoin(str(answer.url), answer.headers["location"])
            self.seen.append(place)
            answer = self.browser.get(self._visited(place))
        raise AssertionError(f"the program leads nowhere: {self.seen}")

    def _visited(self, place: str) -> str:
        """The same place, or where our pages lead from it."""
        if not place.startswith(self._issuer):
            return place
        self.seen.append(self.visit(place))
        return self.seen[-1]


def registered(site: Site, client_id: str, origin: str, **changes: Any) -> dict[str, Any]:
    """A client as an operator registers older software: the profile `basic`, and tokens that are
    refreshed until the session ends, because the program signs people out."""
    fields: dict[str, Any] = {
        "profile": "basic",
        "redirect_uris": (f"{origin}/callback",),
        "post_logout_redirect_uris": (f"{origin}/",),
        "grant_types": ("authorization_code", "refresh_token"),
        "scopes": ("openid", "profile", "email"),
        "claims": ("name", "preferred_username", "locale", "email"),
        "refresh_ends_with_session": True,
        **changes,
    }
    known = site.client(client_id, **fields)
    return {**known, "redirect_uri": fields["redirect_uris"][0]}


def give_address(site: Site) -> None:
    """Chen has an email address that was verified, as whoever keeps the register will note."""
    noted = {"email": EMAIL, "email_verified_at": site.house.clock()}
    with site.house.database.write() as tx:
        tx.execute(update(people).where(people.c.id == site.chen.id).values(**noted))


def end_sessions(site: Site) -> None:
    """Chen signs out everywhere, from the page of her devices."""
    for session in site.house.idp.sessions.of(site.chen):
        site.house.idp.sessions.end_one_of(site.chen, session.sid)


def entries(site: Site, kind: str, client_id: str) -> list[dict[str, Any]]:
    """What stands in the ledger about a client."""
    with site.house.database.read() as tx:
        leaves = tx.execute(select(ledger_outbox.c.leaf).order_by(ledger_outbox.c.entry_id))
        facts = [read_leaf(bytes(leaf)) for leaf in leaves.scalars()]
    return [each for each in facts if each["kind"] == kind and each["actor"]["id"] == client_id]


def refreshes(site: Site, client_id: str) -> int:
    """How often the client was given tokens for a refresh token."""
    issued = entries(site, "idp.token_issued", client_id)
    return sum(each["details"]["grant_type"] == "refresh_token" for each in issued)


def origin() -> str:
    return f"http://localhost:{free_port()}"


def signin(known: Mapping[str, str], here: str) -> dict[str, str]:
    """What the service in `go/oidc` has to know to listen at `here`."""
    return {
        "ISSUER": known["issuer"],
        "CLIENT_ID": known["client_id"],
        "CLIENT_SECRET": known["client_secret"],
        "REDIRECT_URI": known["redirect_uri"],
        "HOME_URI": f"{here}/",
        "LISTEN": here.replace("http://localhost", "127.0.0.1"),
    }


def built_by_go(config: pytest.Config, name: str, source: str | Path) -> Path:
    """A program of a module in a folder of ours, or of one with its version; built again only when
    something changed. Skips where Go is too old, or cannot fetch what the program is made of."""
    said = subprocess.run(("go", "env", "GOVERSION"), capture_output=True, text=True).stdout
    if tuple(map(int, re.findall(r"\d+", said)))[:2] < OLDEST_GO:
        pytest.skip(f"Go 1.24 or newer is needed; here it is {said.strip() or 'older than 1.16'}")
    assert config.cache is not None
    folder = config.cache.mkdir("go-programs")
    given = ("install", source) if isinstance(source, str) else ("build", "-o", folder / name, ".")
    done = subprocess.run(
        ("go", *map(str, given)),
        cwd=source if isinstance(source, Path) else folder,
        env={**os.environ, "GOBIN": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode and any(each in done.stderr for each in NOT_HERE):
        pytest.skip(f"Go cannot build this here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return folder / name


@contextmanager
def running(
    command: tuple[object, ...],
    ready: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Callable[[], str]]:
    """Run a program until the block ends; yields what reads its log. `ready` is an address that
    answers, whatever it answers, as soon as the program is up."""
    known = {"PATH": os.environ["PATH"], "HOME": str(log.parent), **(environment or {})}
    with log.open("wb") as written:
        program = subprocess.Popen(
            tuple(map(str, command)), stdout=written, stderr=subprocess.STDOUT, env=known
        )
        try:
            _wait(program, ready, log)
            yield log.read_text
        finally:
            program.terminate()
            try:
                program.wait(timeout=20)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def _wait(program: subprocess.Popen[bytes], ready: str, log: Path) -> None:
    place = httpx.URL(ready)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert program.poll() is None, f"the program ended: {log.read_text()[-3000:]}"
        try:
            socket.create_connection((place.host, place.port or 80), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nobody listens at {ready}: {log.read_text()[-3000:]}")
