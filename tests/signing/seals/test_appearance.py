"""The round red seal: exact, readable, and never with a box in it."""

import math
import re
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from signing import rules
from signing.errors import GlyphMissing, SealNameRefused
from signing.seals import appearance

NAME = "临江市市场监督管理局"
CODE = "3501000012345"


def operators(picture: bytes) -> list[str]:
    """The drawing of a form XObject, one operator per line."""
    stream = picture.partition(b"\nstream\n")[2].removesuffix(b"\nendstream")
    return zlib.decompress(stream).decode().split("\n")


def points(picture: bytes) -> list[tuple[float, float]]:
    numbers = [line.split()[:-1] for line in operators(picture)[1:-1]]
    return [
        (float(x), float(y)) for line in numbers for x, y in zip(line[::2], line[1::2], strict=True)
    ]


def test_equal_words_give_equal_pictures() -> None:
    assert appearance.draw(NAME, CODE) == appearance.draw(NAME, CODE)
    assert appearance.draw(NAME, CODE).pdf != appearance.draw(NAME, "3501000012346").pdf


def test_the_picture_is_vector_and_nothing_else() -> None:
    """No image, no font, no script: only paths filled once in one colour."""
    picture = appearance.draw(NAME, CODE).pdf
    head, *path, fill = operators(picture)

    assert b"/Image" not in picture
    assert b"/Font" not in picture
    assert head == "/i gs 0.8 0.06 0.09 rg"
    assert fill == "f"
    assert {line.split()[-1] for line in path} == {"m", "l", "c", "h"}
    assert all(re.fullmatch(r"(-?\d+ )*[mlch]", line) for line in path)


def test_ink_multiplies_so_that_the_text_below_stays_readable() -> None:
    assert b"/BM/Multiply" in appearance.draw(NAME, CODE).pdf


@pytest.mark.parametrize("length", [1, 2, 9, 16, 30, 60])
def test_a_name_of_any_length_stays_inside_the_ring(length: int) -> None:
    drawn = appearance.draw((NAME * 6)[:length], CODE)

    distances = [math.hypot(x - 500, y - 500) for x, y in points(drawn.pdf)]

    assert max(distances) <= 570  # control points of the ring itself lie a little outside
    letters = [distance for distance in distances if distance < 460]
    assert letters
    assert len(letters) > length


def test_a_long_name_does_not_close_the_circle() -> None:
    """At the foot of the seal stands the code, never the name."""
    drawn = points(appearance.draw(NAME * 6, "").pdf)
    name = [(x, y) for x, y in drawn if 330 < math.hypot(x - 500, y - 500) < 460]

    angles = [math.degrees(math.atan2(y - 500, x - 500)) for x, y in name]

    assert not [angle for angle in angles if -140 < angle < -40]


def test_a_character_without_a_glyph_is_never_printed_as_a_box() -> None:
    with pytest.raises(GlyphMissing, match=r"U\+13000"):
        appearance.draw("局\U00013000", CODE)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "局\u200b",  # zero width space
        "局\u202e理",  # right-to-left override
        "局\n理",
        "局\u0301",  # a combining mark that stands alone
        "e\u0301",  # not in normal form C
        "局" * (rules.LONGEST_NAME + 1),
    ],
)
def test_a_name_that_people_cannot_read_is_refused(name: str) -> None:
    with pytest.raises(SealNameRefused):
        appearance.draw(name, CODE)


@pytest.mark.parametrize("code", ["", "12345", "350100-001234", "x" * 13, "1" * 21])
def test_a_code_that_is_none_is_refused(code: str) -> None:
    with pytest.raises(SealNameRefused):
        rules.must_be_a_code(code)


def test_the_picture_for_pages_has_a_name_for_screen_readers_and_no_script() -> None:
    svg = appearance.draw("甲 & 乙 <局>", CODE).svg

    root = ElementTree.fromstring(svg)

    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == f"甲 & 乙 <局> {CODE}"
    assert root.get("role") == "img"
    assert [element.tag.rpartition("}")[2] for element in root.iter()] == ["svg", "title", "path"]


@pytest.mark.poppler
def test_the_seal_is_red_on_the_rendered_page(sealed: bytes, tmp_path: Path) -> None:
    import subprocess

    from PIL import Image

    (tmp_path / "sealed.pdf").write_bytes(sealed)
    subprocess.run(["pdftoppm", "-r", "72", "-png", "sealed.pdf", "page"], cwd=tmp_path, check=True)
    image = Image.open(next(tmp_path.glob("page*.png"))).convert("RGB")

    # The star's middle: the box of the seal is (400, 150, 119), counted from the lower left.
    red, green, blue = image.getpixel((459, image.height - 209))  # type: ignore[misc]

    assert (red > 180, green < 90, blue < 90) == (True, True, True)
