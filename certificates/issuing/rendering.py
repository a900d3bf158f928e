"""Draws certificate pages: one A4 page as PDF/A-3b, or as a picture to look at.

* Data reaches the template as one JSON value, never by string templating: a name cannot become
  markup.
* The same function draws the preview and the page that is sealed; they differ only in what exists
  only after sealing (the signed offline code and the attached credential).
* A character that no font can draw fails the render with `MissingGlyph`; content that does not fit
  the page fails it with `LayoutOverflow`. A box or a cut-off line is never issued.
* Same input, same bytes: time is an argument.
* What a sandbox draws is a specimen: it says so across the page and in its title, and claims no
  legal effect. The mark is part of the template hash, so a page approved as one is sealed as one.

Fonts come from the wheel `justmytype-intl-cjk` (OFL), with the machine's own fonts behind them for
rare characters. PDF/A-3 because it may carry an attachment (ISO 19005-3).
"""

import os
import re
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import typst
import zxingcpp

from certificates.catalogue import CertificateType, hash_templates
from certificates.errors import LayoutOverflow, MissingGlyph
from certificates.models import Content
from foundation.errors import YinzhengError
from signing.formats import USUAL_CREDENTIAL, CredentialFormat

TEMPLATES = Path(__file__).parents[1] / "templates"
_UNDRAWABLE = re.compile(r"the text `\"(?P<text>.*)\"` could not be displayed", re.DOTALL)
_ESCAPE = re.compile(r"\\u\{([0-9a-fA-F]+)\}")

_ONE_PAGE = b"/Type/Pages/Count 1/"
_ROW_INSETS = (9, 6.5, 4.5, 3)  # points above and below a row, the airiest that fits

_REGIONS = {"zh-Hans": ("zh", "cn"), "zh-Hant": ("zh", "tw"), "en": ("en", "us")}
_WORDS = {
    "validity": {"zh-Hans": "有效期限", "zh-Hant": "有效期限", "en": "Valid"},
    "sealed": {
        "zh-Hans": "发证机关、发证日期",
        "zh-Hant": "發證機關、發證日期",
        "en": "Issuing authority and date",
    },
    "online": {"zh-Hans": "在线核验", "zh-Hant": "線上核驗", "en": "Verify online"},
    "offline": {"zh-Hans": "离线核验", "zh-Hant": "離線核驗", "en": "Verify offline"},
    "pending": {"zh-Hans": "封印后生成", "zh-Hant": "封印後產生", "en": "made at sealing"},
    "no_effect": {
        "zh-Hans": "本件为样本，仅供演示，不具法律效力。",
        "zh-Hant": "本件為樣本，僅供示範，不具法律效力。",
        "en": "This is a specimen for demonstration. It has no legal effect.",
    },
    "no_effect_short": {
        "zh-Hans": "不具法律效力",
        "zh-Hant": "不具法律效力",
        "en": "No legal effect",
    },
}
_SPECIMEN = {"zh-Hans": ("样本", "SPECIMEN"), "zh-Hant": ("樣本", "SPECIMEN")}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True, slots=True)
class IssuedParts:
    """What exists only once a certificate is made: its code, and the credential that is attached.

    `offline_code` is "" for a type that has none; `format` is the credential's.
    """

    credential: str
    offline_code: str
    format: CredentialFormat = USUAL_CREDENTIAL


class Renderer:
    """Draws pages from templates with one set of fonts. Safe to share between threads.

    `at_once` pages are drawn at the same time, one a core; who comes then waits.
    """

    def __init__(
        self, public_url: str, templates: Path = TEMPLATES, *, specimen: bool = False
    ) -> None:
        self._public_url = public_url
        self._specimen = specimen
        self._folder = templates
        self._fonts = open_fonts()
        self.at_once = _cores()
        self._slots = threading.BoundedSemaphore(self.at_once)
        self._idle: dict[str, deque[typst.Compiler]] = defaultdict(deque)
        self._drawable: set[str] = set()
        self.template_hash = hash_templates(templates, b"specimen" if specimen else b"")

    def pdf(
        self, kind: CertificateType, content: Content, made_at: datetime, issued: IssuedParts | None
    ) -> bytes:
        """The page as PDF/A-3b. Without `issued` it is the preview of the same page."""
        data = page_data(kind, content, self._public_url, made_at, issued, self._specimen)
        return self._fitting(kind.layout.template, data)

    def png(
        self, kind: CertificateType, content: Content, made_at: datetime, ppi: float = 110
    ) -> bytes:
        """The preview as a picture; drawn as PDF/A first, because only that checks the glyphs."""
        data = page_data(kind, content, self._public_url, made_at, None, self._specimen)
        self._fitting(kind.layout.template, data)
        return self._compile(kind.layout.template, data, format="png", ppi=ppi)

    def undrawable(self, text: str) -> str:
        """The characters of `text` that no font can draw, each once."""
        unknown = sorted(set(text) - self._drawable - set("\n\r\t "))
        if not unknown:
            return ""
        if self._draws("".join(unknown)):
            self._drawable.update(unknown)
            return ""
        missing = [character for character in unknown if not self._draws(character)]
        self._drawable.update(set(unknown) - set(missing))
        return "".join(missing)

    def _fitting(self, template: str, data: dict[str, Any]) -> bytes:
        """The page with rows as airy as fits; `data` is left with the spacing that did."""
        for data["row_inset"] in _ROW_INSETS:
            page = self._compile(template, data, format="pdf", pdf_standards=["a-3b"])
            if _ONE_PAGE in page:
                return page
        raise LayoutOverflow(
            "the content does not fit the page", next_step="shorten the longest fields"
        )

    def _draws(self, text: str) -> bool:
        try:
            self._compile("probe.typ", {"text": text}, format="pdf", pdf_standards=["a-3b"])
        except MissingGlyph:
            return False
        return True

    def _compile(self, template: str, data: Mapping[str, Any], **how: Any) -> bytes:
        text = orjson.dumps(data).decode()
        with self._compiler(template) as compiler:
            try:
                page = compiler.compile(sys_inputs={"data": text}, **how)
            except typst.TypstError as problem:
                raise _explain(problem) from None
        return page if isinstance(page, bytes) else b"".join(page or [])

    @contextmanager
    def _compiler(self, template: str) -> Iterator[typst.Compiler]:
        """A compiler for one caller: it draws one page at a time, and lets the GIL go meanwhile."""
        idle = self._idle[template]
        with self._slots:
            try:
                compiler = idle.pop()
            except IndexError:
                compiler = typst.Compiler(
                    self._folder / template, root=self._folder, font_paths=self._fonts
                )
            try:
                yield compiler
            finally:
                idle.append(compiler)


def _cores() -> int:
    """How many cores this process may use; not every system can say that of a process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def open_fonts() -> typst.Fonts:
    """The wheel's fonts and, behind them, the machine's: opened once, they never change."""
    shipped = files("justmytype_intl_cjk") / "fonts"
    return typst.Fonts(include_system_fonts=True, font_paths=[str(shipped)])


def page_data(
    kind: CertificateType,
    content: Content,
    public_url: str,
    made_at: datetime,
    issued: IssuedParts | None,
    specimen: bool = False,
) -> dict[str, Any]:
    """Everything a template needs, as one JSON value."""
    layout = kind.layout
    first, second = layout.languages[0], layout.languages[-1]
    made = made_at.astimezone(UTC)
    lang, region = _REGIONS[first]
    number = kind.fields[kind.number.field]
    return {
        "language": first,
        "lang": lang,
        "region": region,
        "paper": layout.paper,
        "palette": layout.palette,
        "title": kind.labels[first],
        "title_size": _title_size(kind.labels[first]),
        "subtitle": kind.labels[second],
        "specimen": _specimen(first, second) if specimen else None,
        "number": _labels(number.labels, first, second) | {"value": content.number},
        "rows": _rows(kind, content, first, second),
        "authority": {
            "label": _pair(_WORDS["sealed"], first, second),
            "name": content.authority_name,
            "size": 13 if len(content.authority_name) <= 14 else 10.5,
        },
        "issued": {"value": written_date(content.issued_on, first)},
        "seal_box": list(layout.seal_box),
        "statement": _statement(
            _WORDS["no_effect"] if specimen else layout.statement, first, second
        ),
        "identifier": content.identifier,
        "made": [made.year, made.month, made.day, made.hour, made.minute, made.second],
        "captions": {
            "online": _caption("online", first, second),
            "offline": _caption("offline", first, second),
            "pending": _WORDS["pending"][first],
        },
        "online": symbol(f"{public_url}/v/{content.qr_token}"),
        "offline": symbol(issued.offline_code) if issued else None,
        "credential": _attached(issued) if issued else None,
    }


def _attached(issued: IssuedParts) -> dict[str, str]:
    form = issued.format
    return {
        "text": issued.credential,
        "file": f"credential{form.suffix}",
        "media_type": form.media_type,
        "title": form.title,
    }


def written_date(day: date, language: str) -> str:
    """A date in words: 2026年3月2日, 2 March 2026."""
    if language == "en":
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
    return f"{day.year}年{day.month}月{day.day}日"


def written_period(start: date, end: date | None, language: str) -> str:
    """A period in words; without an end it is valid for an indefinite time."""
    begin = written_date(start, language)
    if end is None:
        return f"from {begin}, no end date" if language == "en" else f"{begin} 起，长期"
    join = " to " if language == "en" else " 至 "
    return begin + join + written_date(end, language)


def symbol(text: str) -> dict[str, Any]:
    """The QR symbol of `text`, error correction M: `size` modules a side, one byte a module.

    The data mask is fixed: choosing among eight takes seven times as long and only helps texts with
    long runs, which compressed and random texts do not have (ISO/IEC 18004 §7.8).
    """
    qr_code = zxingcpp.BarcodeFormat.QRCode
    barcode = zxingcpp.create_barcode(text, qr_code, ec_level="M", data_mask=3)
    image: Any = barcode.to_image(scale=1, add_quiet_zones=False)
    return {"size": image.shape[0], "modules": list(memoryview(image).tobytes())}


def _rows(
    kind: CertificateType, content: Content, first: str, second: str
) -> Sequence[dict[str, Any]]:
    rows = []
    for name, field in kind.fields.items():
        value = content.fields.get(name)
        if not field.on_page or not value:
            continue
        rows.append(
            _labels(field.labels, first, second)
            | {
                "value": _shown(field.kind, field.display(value, first), first),
                "value_sub": field.display(value, second) if field.choices else "",
                "strong": name == kind.holder.name,
            }
        )
    period = written_period(content.valid_from, content.valid_until, first)
    validity = _labels(_WORDS["validity"], first, second)
    return [*rows, validity | {"value": period, "value_sub": "", "strong": False}]


def _shown(field_kind: str, value: str, language: str) -> str:
    return written_date(date.fromisoformat(value), language) if field_kind == "date" else value


def _labels(labels: Mapping[str, str], first: str, second: str) -> dict[str, str]:
    return {"label": labels[first], "sub": labels[second] if second != first else ""}


def _pair(labels: Mapping[str, str], first: str, second: str) -> str:
    return labels[first] if first == second else f"{labels[first]}  {labels[second]}"


def _caption(word: str, first: str, second: str) -> dict[str, str]:
    return {"name": _WORDS[word][first], "sub": _WORDS[word][second] if second != first else ""}


def _statement(statement: Mapping[str, str], first: str, second: str) -> str:
    return _pair(statement, first, second) if statement else ""


def _specimen(first: str, second: str) -> dict[str, str]:
    """The mark in large and small letters, and what it means."""
    mark, sub = _SPECIMEN.get(first, ("SPECIMEN", "样本"))
    return {"mark": mark, "sub": sub, "effect": _pair(_WORDS["no_effect_short"], first, second)}


def _title_size(title: str) -> float:
    if title.isascii():
        return 36 if len(title) <= 20 else 27
    return {True: 40, False: 31}[len(title) <= 7]


def _explain(problem: typst.TypstError) -> YinzhengError:
    message = str(problem.message)
    if (found := _UNDRAWABLE.search(message)) is not None:
        text = _ESCAPE.sub(lambda code: chr(int(code[1], 16)), found["text"])
        return MissingGlyph("".join(dict.fromkeys(text)))
    return YinzhengError(f"the template failed: {message[:200]}")
