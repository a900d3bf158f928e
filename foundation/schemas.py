"""The API description, derived: JSON Schema from message types, refusals from error classes.

A message is a msgspec `Struct` (what arrives) or a `TypedDict` (what is answered). What stands in a
`Meta` is told. So a member, a code or a status can be neither forgotten nor made up.
"""

from collections.abc import Callable, Iterable, Sequence
from inspect import getdoc
from typing import Any, TypedDict

import msgspec
from msgspec import Meta

from foundation.errors import YinzhengError

Schema = dict[str, Any]


def described(**schema: Any) -> Meta:
    """Words of JSON Schema for a member that are told, and not checked in decoding."""
    return Meta(extra_json_schema=schema)


def needed(description: str) -> Meta:
    """A member that may not be left out, although decoding supplies it: all that is missing is
    named at once."""
    return Meta(description=description, extra_json_schema={"required": True})


class ProblemField(TypedDict):
    """One wrong place in what was sent."""

    pointer: str
    code: str
    detail: str


class Problem(TypedDict):
    """A refusal as programs read it (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    errors: list[ProblemField]
    next_step: str


def taken(body: type) -> Schema:
    """The schema of a body that arrives: what it needs says so itself."""
    schema = _inlined(body)
    schema["required"] = [
        name for name, member in schema["properties"].items() if member.pop("required", False)
    ]
    return schema


def told(answer: type) -> Schema:
    """The schema of an answer: every member is always there, but for those `NotRequired`."""
    return _inlined(answer, complete=True)


def problems(*refusals: type[YinzhengError]) -> dict[str, Any]:
    """Responses with problem details, one for each status of these refusals."""

    def content(kinds: Sequence[type[YinzhengError]]) -> dict[str, Any]:
        schema = told(Problem)
        schema["properties"]["code"] = {"type": "string", "enum": codes(kinds)}
        return {"application/problem+json": {"schema": schema}}

    return refused(refusals, content)


def refused(
    refusals: Iterable[type[YinzhengError]],
    content: Callable[[Sequence[type[YinzhengError]]], dict[str, Any]],
) -> dict[str, Any]:
    """Responses for these refusals: a status each, what each code means, and its `content`."""
    by_status: dict[int, list[type[YinzhengError]]] = {}
    for kind in refusals:
        by_status.setdefault(kind.status, []).append(kind)
    return {
        str(status): {
            "description": "; ".join(f"{kind.code}: {_meaning(kind)}" for kind in kinds),
            "content": content(kinds),
        }
        for status, kinds in sorted(by_status.items())
    }


def codes(kinds: Iterable[type[YinzhengError]]) -> list[str]:
    """The codes of these refusals, each once."""
    return list(dict.fromkeys(kind.code for kind in kinds))


def _meaning(kind: type[YinzhengError]) -> str:
    """The first paragraph of its docstring, on one line."""
    paragraph = (getdoc(kind) or "").partition("\n\n")[0]
    return " ".join(paragraph.replace("`", "").split()).rstrip(".")


def _inlined(message: type, *, complete: bool = False) -> Schema:
    """JSON Schema without references, titles, defaults, and words that are for our own reading."""
    [root], known = msgspec.json.schema_components([message], ref_template="{name}")

    def unfold(found: Any) -> Any:
        if isinstance(found, list):
            return [unfold(each) for each in found]
        if not isinstance(found, dict):
            return found
        if "$ref" in found:
            return of_members(known[found["$ref"]])
        if "enum" in found:
            return {"type": "string", **found}
        return {name: unfold(value) for name, value in found.items() if name != "default"}

    def of_members(found: Schema) -> Schema:
        kept = ("title", "description", "properties", *(() if complete else ("required",)))
        schema = {k: v for k, v in found.items() if k not in kept}
        members = {name: unfold(member) for name, member in found["properties"].items()}
        return {**schema, "properties": members}

    return of_members(known[root["$ref"]])
