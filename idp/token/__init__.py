"""The token endpoint: what it takes, what it gives, and to whom it belongs.

endpoint            RFC 6749 §3.2: client, grant, commit, answer
grants/             one file per grant type, and the table of them
tokens              signed statements: access, ID and logout tokens
sender_constraint   tokens in the right hands only: DPoP (RFC 9449) and mutual TLS (RFC 8705)
dpop                proofs of possession
devices             people answer for a device that has no keyboard (RFC 8628)
revocation          tokens given back (RFC 7009)
"""
