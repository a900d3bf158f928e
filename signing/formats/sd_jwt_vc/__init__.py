"""SD-JWT VC credentials, `dc+sd-jwt` (draft-ietf-oauth-sd-jwt-vc, RFC 9901).

credential    issues and verifies
disclosures   salted claims: made, hashed, matched
format        the row of the table

    sd_jwt_vc.issue(keys, use, vct=…, claims={…}, disclosable={"name"}, …)
"""

from signing.formats.sd_jwt_vc.credential import (
    KEY_BINDING_TYPE,
    TYPE,
    KeyBinding,
    VerifiedSdJwt,
    issue,
    select,
    verify,
)
from signing.formats.sd_jwt_vc.format import SdJwtVc

__all__ = [
    "KEY_BINDING_TYPE",
    "TYPE",
    "KeyBinding",
    "SdJwtVc",
    "VerifiedSdJwt",
    "issue",
    "select",
    "verify",
]
