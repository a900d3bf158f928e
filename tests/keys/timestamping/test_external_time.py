"""An authority outside the house, a real one over HTTP, on good days and on all the others."""

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import system_clock
from keys.errors import TimestampUnavailable
from keys.timestamping.external_time import ATTEMPTS, LEFT_ALONE, TOLERANCE, ExternalTimestamps
from tests.simulators.tsa import TimeStampAuthority

pytestmark = pytest.mark.openssl
DIGEST = hashlib.sha256(b"a seal's signature").digest()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeStampAuthority]:
    with TimeStampAuthority(tmp_path_factory.mktemp("tsa")) as authority:
        yield authority


@pytest.fixture
def authority(running: TimeStampAuthority) -> TimeStampAuthority:
    running.mode, running.asked = "good", 0
    return running


def root(authority: TimeStampAuthority) -> bytes:
    return x509.load_pem_x509_certificate(authority.root.read_bytes()).public_bytes(Encoding.DER)


def source(
    authority: TimeStampAuthority, ticks: list[float] | None = None, answer_within: float = 20.0
) -> ExternalTimestamps:
    ticks = [0.0] if ticks is None else ticks
    return ExternalTimestamps(
        authority.url,
        [root(authority)],
        system_clock,
        answer_within=answer_within,
        monotonic=lambda: ticks[0],
    )


def stamp(external: ExternalTimestamps) -> bytes:
    return external.stamp(DIGEST, system_clock())


def test_a_token_of_another_authority_is_believed_when_it_proves_what_was_asked(
    authority: TimeStampAuthority,
) -> None:
    external = source(authority)

    token = stamp(external)

    info = cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"].parsed
    assert isinstance(info, tsp.TSTInfo)
    assert info["message_imprint"]["hashed_message"].native == DIGEST
    assert len(token) <= external.longest_token()


@pytest.mark.parametrize("key", ["rsa:3072", "ec:ec256"])
def test_authorities_with_keys_of_either_kind(tmp_path: Path, key: str) -> None:
    if key.startswith("ec"):
        parameters = tmp_path / "ec256"
        curve = ["openssl", "ecparam", "-name", "prime256v1", "-out", str(parameters)]
        subprocess.run(curve, check=True)
        key = f"ec:{parameters}"
    with TimeStampAuthority(tmp_path / "tsa", key) as authority:
        assert stamp(source(authority))


@pytest.mark.parametrize(
    "mode",
    ["dead", "busy", "slow", "rejecting", "wrong_nonce", "wrong_digest", "stranger", "chatty"],
)
def test_an_authority_that_misbehaves_is_unavailable_in_time(
    authority: TimeStampAuthority, mode: str
) -> None:
    authority.mode = mode
    external = source(authority, answer_within=0.8 if mode == "slow" else 20.0)

    with pytest.raises(TimestampUnavailable) as refused:
        stamp(external)

    assert authority.asked == ATTEMPTS
    assert refused.value.retry_after == LEFT_ALONE
    assert mode != "rejecting" or "refused: rejection" in refused.value.detail


def test_one_bad_moment_is_survived(authority: TimeStampAuthority) -> None:
    authority.mode = "hiccup"

    assert stamp(source(authority))
    assert authority.asked == ATTEMPTS


def test_an_authority_that_failed_is_left_alone_for_a_while(
    authority: TimeStampAuthority,
) -> None:
    ticks = [100.0]
    external = source(authority, ticks)
    authority.mode = "busy"
    with pytest.raises(TimestampUnavailable):
        stamp(external)
    authority.mode = "good"
    with pytest.raises(TimestampUnavailable):
        stamp(external)
    assert authority.asked == ATTEMPTS, "the second seal did not wait for a dead authority"

    ticks[0] += LEFT_ALONE

    assert stamp(external)


def test_clocks_that_disagree_prove_nothing(authority: TimeStampAuthority) -> None:
    external = ExternalTimestamps(
        authority.url,
        [root(authority)],
        lambda: system_clock() + TOLERANCE + timedelta(minutes=1),
    )

    with pytest.raises(TimestampUnavailable, match="clock"):
        stamp(external)


def test_a_root_nobody_named_is_not_believed(authority: TimeStampAuthority) -> None:
    external = ExternalTimestamps(authority.url, [], system_clock)

    with pytest.raises(TimestampUnavailable, match="root"):
        stamp(external)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TimestampUnavailable):
        stamp(ExternalTimestamps("http://127.0.0.1:9/tsr", [], system_clock))


def test_it_may_lie_behind_the_proxy_of_the_environment(
    authority: TimeStampAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", authority.url.replace("http://", "http://office:secret@"))
    external = ExternalTimestamps(
        "http://tsa.example/tsr", [root(authority)], system_clock, answer_within=20.0
    )

    assert stamp(external), "a name that nobody resolves: the proxy was asked"


def test_it_may_ask_for_a_password(tmp_path: Path) -> None:
    seen: list[str] = []

    class Careful(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["authorization"])
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Careful)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://office:secret@127.0.0.1:{server.server_port}/"

    with pytest.raises(TimestampUnavailable, match="status 401"):
        stamp(ExternalTimestamps(url, [], system_clock, answer_within=20.0))

    assert seen == ["Basic b2ZmaWNlOnNlY3JldA=="] * ATTEMPTS
    server.shutdown()
