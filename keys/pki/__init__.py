"""X.509: who a key belongs to, and what became of that.

    authority          the root, an issuing authority per department, certificates of uses
    profiles           what each kind of certificate says (RFC 5280)
    revocation_lists   what became of certificates, as a list
    ocsp               what became of a certificate, asked one by one (RFC 6960)
    responders         who answers that, and the answers signed before anybody asks

A certificate is never changed, only renewed or revoked.
"""
