"""Ledger entries as a citizen or an officer reads them: who, when, what, why, what they saw.

The words come from the entry's kind, the purpose's registered name and the catalogue's labels; the
facts come from the ledger leaf itself and from nowhere else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from foundation.actor import Actor, ActorKind
from idp import CLAIMS
from ledger import Access
from portal.frame.language import Language
from portal.frame.page_context import PageContext


@dataclass(frozen=True, slots=True)
class AccessHistoryEntry:
    """One entry in the reader's language. `certificate` is an identifier, "" when there is none."""

    at: datetime
    who: str
    what: str
    why: str
    legal_basis: str
    case_ref: str
    fields: str
    verdict: str
    certificate: str
    type_name: str
    is_look: bool
    is_warning: bool


def look(
    context: PageContext,
    lang: Language,
    reader: Actor,
    access: Access,
    types: Mapping[str, str] = MappingProxyType({}),
) -> AccessHistoryEntry:
    """`types` names the types of certificates the reader holds, for entries that do not."""
    kind = f"kind.{access.kind}"
    type_name = access.details.get("type", "") or types.get(access.certificate, "")
    known = context.site.catalogue.get(type_name)
    return AccessHistoryEntry(
        at=access.at,
        who=_who(lang, reader, access),
        what=_what(lang, kind, access),
        why=_purpose(context, lang, access.purpose),
        legal_basis=access.legal_basis,
        case_ref=access.case_ref,
        fields=_labels(context, lang, type_name, access.disclosed),
        verdict=_verdict(lang, access.verdict),
        certificate=access.certificate,
        type_name=lang.pick(known.labels) if known else "",
        is_look=access.kind in LOOKS or (access.kind == ISSUED and bool(access.disclosed)),
        is_warning=access.verdict in REUSES or access.verdict == REPEATED,
    )


# Kinds of entries in which somebody was told something about a certificate or its holder.
LOOKS = frozenset(
    {
        "certificate.viewed",
        "certificate.downloaded",
        "certificate.searched",
        "exchange.status_told",
        "exchange.subscribed",
        "exchange.verified",
        "idp.userinfo_read",
    }
)
# A token tells nothing, unless the service asked for claims in it.
ISSUED = "idp.token_issued"
# Something was used a second time, as a thief of it would: the person should hear of that.
REUSES = frozenset({"code_reuse", "refresh_token_reuse"})
# The same tokens were given again late, to a service that proved who it is.
REPEATED = "refresh_token_repeated"


def _who(lang: Language, reader: Actor, access: Access) -> str:
    if access.actor_kind == ActorKind.ANONYMOUS:
        return lang.say("access.somebody")
    if access.actor_kind == ActorKind.SYSTEM:
        return lang.say("access.system")
    if not access.organisation and access.actor_name == reader.name:
        return lang.say("access.you")
    if access.organisation_name and access.actor_name:
        return str(
            lang.say("access.of", name=access.actor_name, organisation=access.organisation_name)
        )
    return access.organisation_name or access.actor_name or str(lang.say("access.system"))


def _what(lang: Language, kind: str, access: Access) -> str:
    if access.verdict in REUSES:
        return lang.say("access.reused")
    return lang.say(kind if lang.knows(kind) else "kind.other", kind=access.kind)


def _purpose(context: PageContext, lang: Language, code: str) -> str:
    """The purpose's name; a client's own words when it is no registered code."""
    for kind in context.site.catalogue.values():
        if code in kind.purposes:
            return lang.pick(kind.purposes[code].names)
    return lang.say(f"purpose.{code}") if lang.knows(f"purpose.{code}") else code


def _labels(context: PageContext, lang: Language, type_name: str, names: Iterable[str]) -> str:
    kinds = context.site.catalogue
    likely = [kinds[type_name]] if type_name in kinds else []
    words = []
    for name in names:
        kind = next((k for k in (*likely, *kinds.values()) if name in k.fields), None)
        if kind is not None:
            words.append(lang.pick(kind.fields[name].labels))
        else:
            words.append(_other_label(lang, name))
    return (", " if lang.code == "en" else "、").join(words)


def _other_label(lang: Language, name: str) -> str:
    """A claim of the identity provider, or a yes/no answer that stands in for a value."""
    if name in CLAIMS:
        return lang.pick(CLAIMS[name].label)
    return lang.say(f"predicate.{name}") if lang.knows(f"predicate.{name}") else name


def _verdict(lang: Language, verdict: str) -> str:
    message = f"verdict.{verdict}"
    return lang.say(message) if lang.knows(message) else ""
