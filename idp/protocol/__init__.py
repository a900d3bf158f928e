"""The words of OAuth and OpenID Connect: pure values and rules, below everything else here.

errors       the error tree, by the names that RFC 6749 and its kin give
profiles     how strict we are with whom: one row a profile
claims       scopes and claims, and who may be told what
scopes       which values of `scope` are understood, and who may have them
acr          strengths of a sign-in
subjects     how a person is called towards a service (pairwise or public)
resources    audiences of access tokens (RFC 8707)
syntax       scopes, redirect URIs, characters
messages     what the endpoints take and answer, member by member
encryption   answers encrypted to a client's key
"""
