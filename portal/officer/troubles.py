"""Why something approved is not sealed yet, in words for officers; codes stay in `jobs list`."""

from typing import Final

from foundation.jobs import Trouble
from portal.frame.language import Language

_WHY: Final = {
    "key_store_unavailable": "keys",
    "no_active_key": "keys",
    "key_damaged": "keys",
    "unsafe_secret_file": "keys",
    "signing_rate_exceeded": "rate",
    "seal_not_usable": "seal",
    "key_may_not_sign": "seal",
    "unknown_certificate": "seal",
    "signing_order_refused": "clock",
    "approval_from_future": "clock",
}


def told(lang: Language, trouble: Trouble | None) -> list[str]:
    """Sentences: why, and what happens next; none when there is no trouble."""
    if trouble is None:
        return []
    code = trouble.problem.partition(":")[0]
    why = lang.say(f"trouble.{_WHY.get(code, 'other')}")
    if trouble.state == "failed":
        return [why, lang.say("trouble.failed", number=str(trouble.id))]
    if trouble.due is None:
        return [why, lang.say("trouble.soon")]
    return [why, lang.say("trouble.next", at=lang.moment(trouble.due))]
