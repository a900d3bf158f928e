"""Pure codecs: bytes in, values out. No database, and no private key.

    algorithms        one row per algorithm; SM2 or ML-DSA is one more row
    der               DER elements (X.690), strict
    x509              the parts of certificates that others ask about (RFC 5280)
    jose              strict JSON Web Signatures and Keys (RFC 7515, 7517)
    http_signatures   whole HTTP messages (RFC 9421, RFC 9530)

Other packages use these modules by name: `from keys.encoding import jose`.
"""

from keys.encoding import algorithms, der, http_signatures, jose, x509

__all__ = ["algorithms", "der", "http_signatures", "jose", "x509"]
