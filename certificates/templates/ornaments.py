"""Draws the ornaments of a certificate page once, as SVG files beside this one.

A guilloche is several sine waves laced around one line; printers used it because a copyist cannot
redraw it. Here it only has to look dignified: what cannot be forged is the signature.

    python -m certificates.templates.ornaments

The files hold the colours BORDER_INK and ROSETTE_INK literally; a template replaces them with its
palette. They are checked in, so that nothing is drawn while a certificate is being made.
"""

import math
from pathlib import Path

BORDER_INK = "#b08d3c"
ROSETTE_INK = "#e9e2d0"
PAPERS = {"portrait": (595.28, 841.89), "landscape": (841.89, 595.28)}

_INSET = 27.0  # from the paper's edge to the middle of the band, in points
_BAND = 6.2  # half the width of the band
_PERIOD = 25.0
_HALF = ((0.3642, 1.3173), (0.6358, 1.3173), (1.0, 0.0))  # sin over half a period, as one Bézier


def main() -> None:
    """Write the borders of all papers and the rosette (SVG) beside this file."""
    folder = Path(__file__).parent
    for paper, (width, height) in PAPERS.items():
        (folder / f"border-{paper}.svg").write_text(border(width, height))
    (folder / "rosette.svg").write_text(rosette(240))


def border(width: float, height: float) -> str:
    """The laced band around a page, with a rosette on each corner."""
    strands = ((0, 1.0), (2, 1.0), (1, 0.55), (3, 0.55))
    paths = []
    for start, size in strands:
        for along, across, turned in ((width, height, False), (height, width, True)):
            length = along - 2 * _INSET
            paths += [
                _wave(length, offset, _BAND * size, start, turned=turned)
                for offset in (_INSET, across - _INSET)
            ]
    corners = [
        _rosette_path(x, y, 15, petals=7, strands=3, depth=0.36)
        for x in (_INSET, width - _INSET)
        for y in (_INSET, height - _INSET)
    ]
    discs = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="16.5" fill="#fffefa" stroke-width=".8"/>'
        for x in (_INSET, width - _INSET)
        for y in (_INSET, height - _INSET)
    )
    rules = "".join(
        f'<rect x="{_INSET - d:.1f}" y="{_INSET - d:.1f}" width="{width - 2 * (_INSET - d):.1f}"'
        f' height="{height - 2 * (_INSET - d):.1f}" stroke-width="{w}"/>'
        for d, w in ((9.5, 1.5), (-9.5, 0.5), (-11.6, 0.9))
    )
    lines = f'<path d="{"".join(paths)}" stroke-width=".55"/>'
    flowers = f'<path d="{"".join(corners)}" stroke-width=".4"/>'
    return _svg(width, height, BORDER_INK, rules + lines + discs + flowers)


def rosette(radius: float) -> str:
    """The large pale rosette behind the text."""
    rings = ((0.98, 12, 5, 0.16), (0.66, 9, 5, 0.2), (0.36, 6, 4, 0.3))
    path = "".join(
        _rosette_path(radius, radius, radius * size, petals=petals, strands=strands, depth=depth)
        for size, petals, strands, depth in rings
    )
    return _svg(2 * radius, 2 * radius, ROSETTE_INK, f'<path d="{path}" stroke-width=".6"/>')


def _svg(width: float, height: float, ink: str, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' fill="none" stroke="{ink}">{body}</svg>\n'
    )


def _wave(length: float, offset: float, height: float, phase: int, *, turned: bool) -> str:
    """A sine of whole periods along one side; `phase` counts quarter periods."""
    half = length / round(length / _PERIOD) / 2
    shift = phase % 2  # of half a half-wave: it begins and ends under the corner rosettes
    start = _INSET - half * shift / 2
    path = f"M{_pair(start, offset, turned)}"
    for index in range(round(length / half) + shift):
        side = -height if (index + phase // 2) % 2 else height
        path += "C" + " ".join(
            _pair(start + half * along, offset + side * up, turned) for along, up in _HALF
        )
        start += half
    return path


def _pair(x: float, y: float, turned: bool) -> str:
    return f"{y:.1f} {x:.1f}" if turned else f"{x:.1f} {y:.1f}"


def _rosette_path(
    cx: float, cy: float, radius: float, *, petals: int, strands: int, depth: float
) -> str:
    """`strands` copies of a wavy ring, each turned a little: their crossings make the pattern."""
    steps = petals * 4
    paths = []
    for strand in range(strands):
        shift = 2 * math.pi * strand / strands
        points = []
        for step in range(steps):
            angle = 2 * math.pi * step / steps
            distance = radius * (1 - depth + depth * math.sin(petals * angle + shift))
            points.append((cx + distance * math.cos(angle), cy + distance * math.sin(angle)))
        paths.append(_closed(points))
    return "".join(paths)


def _closed(points: list[tuple[float, float]]) -> str:
    """A smooth closed curve through the points (Catmull-Rom as cubic Béziers)."""
    count = len(points)
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for index in range(count):
        before, here = points[index - 1], points[index]
        there, beyond = points[(index + 1) % count], points[(index + 2) % count]
        leave = tuple(here[axis] + (there[axis] - before[axis]) / 6 for axis in (0, 1))
        arrive = tuple(there[axis] - (beyond[axis] - here[axis]) / 6 for axis in (0, 1))
        path += "C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in (leave, arrive, there))
    return path + "Z"


if __name__ == "__main__":
    main()
