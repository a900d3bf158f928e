"""The round red seal (圆形公章) as vector: ring, star, statutory name on the arc, code below.

A seal is drawn from its words, never scanned: glyph outlines are taken from Noto Sans SC at weight
700 (the wheel `justmytype-intl-cjk`) and bent around the ring, so the same picture is exact on
paper, on a page and inside a signature field.

- The space is 1000 × 1000 units, y upwards; one unit is 0.042 mm on a 42 mm seal.
- A long name condenses its letters until it fits the arc; a short one spreads, but not apart.
- A character without a glyph is `GlyphMissing`; a character nobody can see, or that turns the
  reading direction, is `SealNameRefused`. A box or a lookalike is never printed.
- In a PDF the ink multiplies with what lies below, as ink does: the text stays readable.
"""

import functools
import math
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from fontTools.misc.transform import Transform
from fontTools.pens.basePen import BasePen
from fontTools.pens.transformPen import TransformPen
from fontTools.ttLib import TTFont

from signing.errors import GlyphMissing
from signing.rules import must_be_a_name

SIZE = 1000
_CENTRE = 500.0
_RING_OUTER, _RING_INNER = 496.0, 466.0
_STAR_RADIUS = 168.0
_NAME_RADIUS, _NAME_HEIGHT, _NAME_ARC = 338.0, 118.0, math.radians(252)
_CODE_RADIUS, _CODE_HEIGHT, _CODE_ARC = 446.0, 50.0, math.radians(74)
_LINE_FOOT, _LINE_HEIGHT, _LINE_WIDTH = 238.0, 84.0, 470.0
_INK = (0.80, 0.06, 0.09)

_Step = tuple[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class SealPicture:
    """The same drawing twice: a PDF form XObject (dictionary and stream) and an SVG document."""

    pdf: bytes
    svg: str


@functools.lru_cache(64)  # a form shows what it will make again and again
def draw(name: str, code: str, line: str = "") -> SealPicture:
    """The picture of a seal with this statutory name and code; pure and deterministic.

    `line` stands straight under the star: what a department or business seal is for.
    """
    must_be_a_name(name)
    steps = [*_ring(), *_star(), *_upper_arc(name), *_lower_arc(code), *_under_star(line)]
    return SealPicture(pdf=_form(steps), svg=_svg(steps, f"{name}{line}", code))


# --- the parts --------------------------------------------------------------------------------


def _ring() -> list[_Step]:
    """Two circles, the inner one turning the other way, so that one fill leaves a ring."""
    return [*_circle(_RING_OUTER, 1), *_circle(_RING_INNER, -1)]


def _circle(radius: float, direction: int) -> list[_Step]:
    steps: list[_Step] = [("M", _polar(radius, 0.0))]
    handle = radius * 4 / 3 * math.tan(math.pi / 8)
    for quarter in range(4):
        start, end = direction * quarter * math.pi / 2, direction * (quarter + 1) * math.pi / 2
        first = _offset(_polar(radius, start), start + direction * math.pi / 2, handle)
        second = _offset(_polar(radius, end), end - direction * math.pi / 2, handle)
        steps.append(("C", (*first, *second, *_polar(radius, end))))
    return [*steps, ("Z", ())]


def _star() -> list[_Step]:
    inner = _STAR_RADIUS * math.sin(math.pi / 10) / math.sin(math.pi * 7 / 10)
    corners = [
        _polar(_STAR_RADIUS if corner % 2 == 0 else inner, math.pi / 2 + corner * math.pi / 5)
        for corner in range(10)
    ]
    return [("M", corners[0]), *(("L", corner) for corner in corners[1:]), ("Z", ())]


def _upper_arc(name: str) -> list[_Step]:
    """Letters stand on an inner circle, feet towards the star."""
    return _arc(name, _NAME_RADIUS, _NAME_HEIGHT, _NAME_ARC, 0.55, top=True)


def _lower_arc(code: str) -> list[_Step]:
    """Digits stand on an outer circle, feet towards the ring, and read from left to right."""
    return _arc(code, _CODE_RADIUS, _CODE_HEIGHT, _CODE_ARC, 0.35, top=False)


def _under_star(line: str) -> list[_Step]:
    """A straight line of letters, condensed until it fits between the letters of the arc."""
    if not line:
        return []
    must_be_a_name(line)
    typeface = _typeface()
    widths = [typeface.width(character) * _LINE_HEIGHT for character in line]
    squeeze, gap = _fit(widths, _LINE_WIDTH, _LINE_HEIGHT, 0.3)
    left = _CENTRE - _span(widths, squeeze, gap) / 2
    steps: list[_Step] = []
    for character, width in zip(line, widths, strict=True):
        place = Transform().translate(left, _LINE_FOOT).scale(squeeze * _LINE_HEIGHT, _LINE_HEIGHT)
        steps.extend(typeface.outline(character, place))
        left += width * squeeze + gap
    return steps


def _arc(
    text: str, radius: float, height: float, longest: float, spread: float, *, top: bool
) -> list[_Step]:
    typeface = _typeface()
    middle = radius + (0.38 if top else -0.38) * height
    widths = [typeface.width(character) * height for character in text]
    squeeze, gap = _fit(widths, longest * middle, height, spread)
    side = -1 if top else 1
    angle = (math.pi / 2 if top else -math.pi / 2) - side * _span(widths, squeeze, gap) / middle / 2
    steps: list[_Step] = []
    for character, width in zip(text, widths, strict=True):
        half = width * squeeze / 2 / middle
        centre = angle + side * half
        place = (
            Transform()
            .translate(*_polar(radius, centre))
            .rotate(centre - math.pi / 2 if top else centre + math.pi / 2)
            .scale(squeeze * height, height)
            .translate(-typeface.width(character) / 2, 0)
        )
        steps.extend(typeface.outline(character, place))
        angle = centre + side * (half + gap / middle)
    return steps


def _fit(
    widths: list[float], available: float, height: float, spread: float
) -> tuple[float, float]:
    """How far letters are condensed, and the gap between them, filling `available` at most."""
    gaps = max(len(widths) - 1, 1)
    tight = 0.06 * height
    squeeze = min(1.0, max(0.2, (available - tight * gaps) / max(sum(widths), 1.0)))
    return squeeze, min(spread * height, max(0.0, available - sum(widths) * squeeze) / gaps)


def _span(widths: list[float], squeeze: float, gap: float) -> float:
    return sum(widths) * squeeze + gap * (len(widths) - 1)


def _polar(radius: float, angle: float) -> tuple[float, float]:
    return _CENTRE + radius * math.cos(angle), _CENTRE + radius * math.sin(angle)


def _offset(point: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    return point[0] + length * math.cos(angle), point[1] + length * math.sin(angle)


# --- glyphs -----------------------------------------------------------------------------------


class _Typeface:
    """Outlines of one variable font at one weight, in units of the em."""

    def __init__(self, path: Path, weight: int) -> None:
        font: Any = TTFont(path)
        self._lock = threading.Lock()  # fontTools fills its tables on first use
        self._name = path.stem
        self._em: int = font["head"].unitsPerEm
        self._characters: dict[int, str] = font.getBestCmap() or {}
        self._glyphs: Any = font.getGlyphSet(location={"wght": weight})

    def width(self, character: str) -> float:
        """The advance, as a part of the em."""
        return float(self._glyph(character).width) / self._em

    def outline(self, character: str, place: Transform) -> list[_Step]:
        pen = _Steps(self._glyphs)
        with self._lock:
            bent = TransformPen(pen, place.scale(1 / self._em))  # type: ignore[no-untyped-call]
            self._glyph(character).draw(bent)
        return pen.steps

    def _glyph(self, character: str) -> Any:
        glyph = self._characters.get(ord(character))
        if glyph is None:
            raise GlyphMissing(
                f"{self._name} has no glyph for {character} (U+{ord(character):04X})",
                next_step="Install a font that has it, or register the seal with a drawn picture.",
            )
        return self._glyphs[glyph]


class _Steps(BasePen):
    """Collects an outline as M, L, C, Z; BasePen turns quadratic splines into cubic ones."""

    def __init__(self, glyphs: Any) -> None:
        super().__init__(glyphs)  # type: ignore[no-untyped-call]
        self.steps: list[_Step] = []

    def _moveTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
        self.steps.append(("M", pt))

    def _lineTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
        self.steps.append(("L", pt))

    def _curveToOne(  # noqa: N802
        self, pt1: tuple[float, float], pt2: tuple[float, float], pt3: tuple[float, float]
    ) -> None:
        self.steps.append(("C", (*pt1, *pt2, *pt3)))

    def _closePath(self) -> None:  # noqa: N802
        self.steps.append(("Z", ()))


@functools.cache
def _typeface() -> _Typeface:
    fonts = files("justmytype_intl_cjk") / "fonts" / "ofl"
    with as_file(fonts / "notosanssc" / "NotoSansSC[wght].ttf") as path:
        return _Typeface(path, 700)


# --- the two renditions -----------------------------------------------------------------------

_PDF_OPERATORS = {"M": "m", "L": "l", "C": "c", "Z": "h"}


def _form(steps: Iterable[_Step]) -> bytes:
    """A form XObject without its object number: dictionary, then the compressed stream."""
    red, green, blue = _INK
    lines = [f"/i gs {red} {green} {blue} rg"]
    lines += [" ".join((*_numbers(values), _PDF_OPERATORS[step])) for step, values in steps]
    stream = zlib.compress("\n".join([*lines, "f"]).encode(), 9)
    dictionary = (
        f"<</Type/XObject/Subtype/Form/FormType 1/BBox[0 0 {SIZE} {SIZE}]"
        "/Resources<</ExtGState<</i<</Type/ExtGState/BM/Multiply>>>>>>"
        f"/Filter/FlateDecode/Length {len(stream)}>>\nstream\n"
    )
    return dictionary.encode() + stream + b"\nendstream"


def _svg(steps: Iterable[_Step], name: str, code: str) -> str:
    path = "".join(step + " ".join(_numbers(values)) for step, values in steps)
    red, green, blue = (round(part * 255) for part in _INK)
    label = escape(f"{name} {code}".strip())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" role="img">'
        f"<title>{label}</title>"
        f'<path transform="matrix(1 0 0 -1 0 {SIZE})" fill="#{red:02x}{green:02x}{blue:02x}"'
        f' d="{path}"/></svg>'
    )


def _numbers(values: tuple[float, ...]) -> list[str]:
    return [str(round(value)) for value in values]
