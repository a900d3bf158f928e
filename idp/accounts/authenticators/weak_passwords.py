"""Passwords that are tried first: common ones, and what everybody knows of the person.

NIST SP 800-63B-4 §3.1.1.2: a password is compared with a list when it is chosen, and there are no
rules about which characters it is made of.
"""

import unicodedata
from typing import Final

_WORDS: Final = """
    12345678 123456789 1234567890 12345678910 87654321 987654321 0123456789 11223344 123123123
    12341234 123454321 147258369 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2 q1w2e3r4 qwer1234 qwerty12
    qwerty123 qwertyui qwertyuiop asdfghjk asdfghjkl zxcvbnm1 zaq12wsx password password1
    password12 password123 passw0rd p@ssw0rd p@ssword iloveyou 5201314520 woaini1314 woaini520
    woaini123 abcd1234 abc12345 abc123456 a1234567 a12345678 a123456789 aa123456 aa12345678
    admin123 admin1234 administrator welcome1 welcome123 letmein1 changeme changeme123 sunshine
    princess football baseball superman trustno1 starwars computer internet whatever dragon123
    monkey123 yinzheng yinzheng123
"""
_COMMON: Final = frozenset(_WORDS.split())


def is_weak(password: str, username: str, name: str) -> bool:
    """Is it a common password, one character again and again, or the person's own name?"""
    said = _folded(password)
    if said in _COMMON or len(set(said)) <= 2:
        return True
    known = [_folded(each) for each in (username, name)]
    rest = said
    for each in filter(None, known):
        rest = rest.replace(each, "")
    return rest != said and len(rest.strip("0123456789!@#._-")) < 3


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace(" ", "")
