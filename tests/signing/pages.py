"""Test pages: one-page Chinese licences rendered by typst the way `certificates/` renders them."""

import functools
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import justmytype_intl_cjk
import typst

PAGE = """
#set document(
  title: "食品经营许可证",
  author: "临江市市场监督管理局",
  date: datetime(year: 2026, month: 3, day: 1),
)
#set page(paper: "a4", margin: 25mm)
#set text(font: "Noto Sans SC", lang: "zh", size: 12pt)
#pdf.attach(
  "/record.json",
  bytes(sys.inputs.record),
  relationship: "source",
  mime-type: "application/json",
  description: "record",
)
#align(center, text(size: 28pt, weight: 700)[食品经营许可证])
#let record = json(bytes(sys.inputs.record))
#table(columns: 2, stroke: 0.4pt, ..record.pairs().flatten().map(it => [#it]))
仅供测试：本证照由统一数字身份与电子证照服务签发，任何人均可在线核验其真伪、状态与有效期。
经营者应当在经营场所醒目位置悬挂或者摆放食品经营许可证正本。
#for page in range(1, int(sys.inputs.pages)) { pagebreak(); [第 #(page + 1) 页] }
"""

RECORD = {
    "经营者名称": "临江市滨江路好味道餐饮有限公司",
    "社会信用代码": "91350100M000100Y43",
    "法定代表人": "张晓明",
    "住所": "临江市滨江新区滨江路一百二十八号",
    "经营场所": "临江市滨江新区滨江路一百二十八号一层",
    "主体业态": "餐饮服务经营者",
    "经营项目": "热食类食品制售；冷食类食品制售；自制饮品制售",
    "许可证编号": "JY23501000000011",
    "签发日期": "2026-03-01",
    "有效期至": "2031-02-28",
}


@functools.cache
def fonts() -> typst.Fonts:
    folder = Path(justmytype_intl_cjk.__file__).parent / "fonts" / "ofl" / "notosanssc"
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)]
    )


@functools.cache
def page(standard: str = "a-3b", pages: int = 1, number: str = "", tags: bool = False) -> bytes:
    """A page as PDF; equal arguments give the same bytes."""
    record = RECORD | ({"许可证编号": number} if number else {})
    text = json.dumps(record, ensure_ascii=False)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "record.json").write_text(text)
        (Path(folder) / "page.typ").write_text(PAGE)
        return typst.compile(
            str(Path(folder) / "page.typ"),
            root=folder,
            font_paths=fonts(),
            sys_inputs={"record": text, "pages": str(pages)},
            pdf_standards=[standard],
            timestamp=datetime(2026, 3, 1, tzinfo=UTC),
            pdf_tags=tags,
        )
