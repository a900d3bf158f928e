"""What people see of a client: a logo that is only a picture, and links that are only links."""

import io
import zlib
from contextlib import suppress
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from foundation.actor import SYSTEM
from foundation.outbound import OutboundError
from idp.clients.presentation import MOST_PIXELS, SIDE, drawn
from idp.protocol.errors import InvalidClientMetadata
from tests.idp.clients.test_registration import BOUNDS, Registrar
from tests.idp.clients.test_remote_metadata import Shelf, registration, shelf, world  # noqa: F401
from tests.idp.world import World

PLAIN = {"token_endpoint_auth_method": "client_secret_basic", "profile": "standard"}
POLICY = "https://food.example/privacy?v=2#children"
SECRET = b"<script>alert(1)</script>"


def picture(kind: str = "PNG", size: tuple[int, int] = (300, 120), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#a5251a").save(out, kind, **options)
    return out.getvalue()


def with_words() -> bytes:
    said = PngImagePlugin.PngInfo()
    said.add_itxt("Comment", SECRET.decode())
    return picture(pnginfo=said) + SECRET


@pytest.fixture
def registrar(world: World) -> Registrar:  # noqa: F811
    return Registrar(world)


@pytest.fixture
def token(world: World) -> str:  # noqa: F811
    return world.idp.registrations.allow(BOUNDS, by=SYSTEM, uses=9)


@pytest.mark.parametrize("name", [b"iCCP", b"gAMA", b"pHYs", b"zTXt", b"tRNS", b"cHRM"])
@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 5])
def test_a_broken_part_behind_the_pixels_breaks_nothing_of_ours(name: bytes, content: bytes):
    whole = picture()
    end = whole.index(b"IEND") - 4
    part = len(content).to_bytes(4, "big") + name + content
    part += zlib.crc32(name + content).to_bytes(4, "big")

    with suppress(OutboundError):  # it may be drawn or refused, as Pillow reads it
        drawn(whole[:end] + part + whole[end:])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_drawn_anew_and_fits_the_page(kind: str):
    logo = drawn(picture(kind))

    kept = Image.open(io.BytesIO(logo.content))
    assert (kept.format, kept.size) == ("PNG", (SIDE, SIDE))
    assert drawn(picture(kind)) == logo
    assert 255 not in kept.crop((0, 100, SIDE, 150)).tobytes(), "the picture"
    assert set(kept.crop((0, 0, SIDE, 70)).tobytes()) == {255}, "white, in the dark too"


def test_nothing_is_left_of_what_a_file_says_beside_its_picture():
    words = with_words()

    assert SECRET in words
    assert SECRET not in drawn(words).content
    assert Image.open(io.BytesIO(drawn(words).content)).info == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><p>hello",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        picture("GIF"),
        picture("BMP"),
        picture("TIFF"),
        picture()[:60],
    ],
)
def test_what_is_no_picture_is_no_logo(content: bytes):
    with pytest.raises(OutboundError, match="SVG is not shown"):
        drawn(content)


def test_a_small_file_of_many_pixels_is_not_decoded():
    with pytest.raises(OutboundError):
        drawn(_declared(30_000, 30_000))
    with pytest.raises(OutboundError, match=str(MOST_PIXELS)):
        drawn(_declared(2001, 2000))


def _declared(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and has next to no pixels."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    parts = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(10))), (b"IEND", b"")):
        parts += len(data).to_bytes(4, "big") + name + data
        parts += zlib.crc32(name + data).to_bytes(4, "big")
    return parts


def test_a_logo_is_read_once_and_served_by_us(world: World, shelf: Shelf):  # noqa: F811
    shelf.documents["/logo"] = picture("JPEG")
    shelf.headers["/logo"] = {"content-type": "text/html"}
    described = registration(**PLAIN, logo_uri=shelf.url + "/logo")

    client = world.idp.clients.add(described, by=SYSTEM).client
    for _ in range(2):
        answer = world.http.get(f"/oauth/logos/remote/{client.logo}.png")

    assert shelf.asked == ["/logo"]
    assert answer.content == drawn(picture("JPEG")).content
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_there_is_no_logo_under_another_digest_nor_of_a_client_that_ended(
    world: World,  # noqa: F811
    shelf: Shelf,  # noqa: F811
):
    shelf.documents["/logo"] = picture()
    described = registration(**PLAIN, logo_uri=shelf.url + "/logo")
    client = world.idp.clients.add(described, by=SYSTEM).client
    other = world.client("other")

    def status(client_id: str, digest: str) -> int:
        return world.http.get(f"/oauth/logos/{client_id}/{digest}.png").status_code

    assert status("remote", client.logo) == 200
    assert status("remote", "0" * 64) == status(other.id, client.logo) == status("x", "") == 404
    world.idp.clients.disable("remote", by=SYSTEM)
    assert status("remote", client.logo) == 404


def test_a_program_that_changes_its_logo_is_shown_with_the_new_one(
    world: World,  # noqa: F811
    shelf: Shelf,  # noqa: F811
    registrar: Registrar,
    token: str,
):
    shelf.documents["/logo"] = picture()
    document = {"logo_uri": shelf.url + "/logo", "logo": "0" * 64}
    made = registrar.register(token, **document).json()
    client_id = made["client_id"]

    def now() -> str:
        with world.idp._database.read() as tx:
            return world.idp.clients.get(tx, client_id).client.logo

    first = now()
    shelf.documents["/logo"] = picture(size=(64, 64))
    sent = {name: value for name, value in made.items() if not name.startswith("registration_")}
    sent = {
        name: sent[name] for name in sent if not name.startswith(("client_secret_", "client_id_"))
    }
    again = registrar.manage("PUT", made, sent)
    second = now()
    without = registrar.manage("PUT", made, {**sent, "logo_uri": None})

    assert (made["logo_uri"], "logo" in made) == (document["logo_uri"], False)
    assert again.status_code == without.status_code == 200, again.text
    assert len({first, second, "0" * 64, now()}) == 4
    assert now() == ""
    assert world.http.get(f"/oauth/logos/{client_id}/{second}.png").status_code == 404


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<svg/>", "SVG is not shown"),
        (bytes(70_000), "longer than 65536"),
        (None, "does not answer with 200"),
    ],
)
def test_a_logo_that_cannot_be_shown_is_told_at_its_member(
    shelf: Shelf,  # noqa: F811
    registrar: Registrar,
    token: str,
    content: bytes | None,
    said: str,
):
    if content is not None:
        shelf.documents["/logo"] = content

    answer = registrar.register(token, logo_uri=shelf.url + "/logo").json()

    assert answer["error"] == "invalid_client_metadata"
    assert answer["error_description"].startswith("/logo_uri: ")
    assert said in answer["error_description"]


def test_nobody_registers_a_picture_that_nobody_looked_at(world: World):  # noqa: F811
    for changes in ({"logo": "0" * 64}, {"logo_uri": "https://food.example/logo"}):
        with pytest.raises(InvalidClientMetadata), world.database.write() as tx:
            world.idp.clients.register(tx, registration(**PLAIN, **changes), by=SYSTEM)
    described = registration(**PLAIN, logo="0" * 64)
    assert world.idp.clients.add(described, by=SYSTEM).client.logo == ""


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"policy_uri": POLICY}, {"policy_uri": POLICY}),
        (
            {"policy_uri": POLICY, "policy_uri#en": POLICY + "-en"},
            {
                "policy_uri#zh-Hans": POLICY,
                "policy_uri#zh-Hant": POLICY,
                "policy_uri#en": POLICY + "-en",
            },
        ),
        ({"tos_uri#zh-Hant": POLICY}, {"tos_uri#zh-Hant": POLICY}),
        ({"tos_uri": None, "policy_uri": ""}, {}),
    ],
)
def test_links_are_registered_by_language_and_told_as_they_were_sent(registrar, token, sent, told):
    made = registrar.register(token, **sent)

    assert made.status_code == 201, made.text
    names = ("policy_uri", "tos_uri", "logo_uri")
    assert {each: said for each, said in made.json().items() if each.startswith(names)} == told


@pytest.mark.parametrize("field", ["policy_uri", "tos_uri"])
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "data:text/html,hello",
        "http://food.example/terms",
        "//food.example/terms",
        "https://chen@food.example/",
        'https://food.example/"onclick=',
        "https://food.example/ü",
        "https://food.example/#a\nb",
        "https://food.example/" + "a" * 2000,
        7,
    ],
)
def test_a_link_that_is_more_than_a_link_is_refused_at_its_member(registrar, token, field, uri):
    answer = registrar.register(token, **{f"{field}#en": uri})

    assert answer.status_code == 400
    assert f"/{field}" in answer.json()["error_description"]


def test_a_link_in_a_language_that_no_page_speaks_is_told(world: World):  # noqa: F811
    with pytest.raises(InvalidClientMetadata, match="language"):
        world.idp.clients.add(registration(**PLAIN, policy_uri={"fr": POLICY}), by=SYSTEM)
