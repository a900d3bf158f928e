"""Tokens read back: what they open, and what others may know of them.

access            access tokens to actors; userinfo
introspection     what a resource server may know of a token (RFC 7662, RFC 9701)
step_up           a resource asks for a better or a more recent sign-in (RFC 9470)
signed_requests   whole requests signed by their client (RFC 9421)
"""
