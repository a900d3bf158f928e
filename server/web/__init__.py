"""The two ways in: the fast lane and the ordinary one.

protocol     HTTP/1.1 on the socket, with its limits
hotpath      the fast lane: path → coroutine, in front of the framework
middleware   what every ordinary answer gets: headers, limits, a request id
methods      what an address takes: Allow, OPTIONS
cors         what scripts of any origin may read
problems     errors as RFC 9457 problem documents
access       access tokens to actors
"""
