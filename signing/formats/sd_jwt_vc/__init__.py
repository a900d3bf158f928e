"""SD-JWT VC credentials, `dc+sd-jwt` (draft-ietf-oauth-sd-jwt-vc, RFC 9901).

credential    issues and verifies
disclosures   salted claims: made, hashed, matched
"""

from signing.formats.sd_jwt_vc import credential

__all__ = ["credential"]
