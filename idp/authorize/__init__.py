"""From a request to its code, over several pages.

request_intake    plain, signed or pushed: the ways a request comes in
request_objects   signed requests (RFC 9101)
pushed            pushed requests (RFC 9126)
authorization     does a request obey? one page of numbered steps
claims_request    what the `claims` parameter asks for (OIDC Core §5.5)
rules             what happens next: sign in, consent, go on, go back; pure
interaction       the stored request between its pages
entries           what the ledger keeps of refusals and consents
jwt_responses     answers as signed tokens (JARM)
form_post         answers as a form (OAuth form_post response mode)
"""
